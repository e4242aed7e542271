; An application processor's way from the SIPI to 64-bit kernel text.
;
; Background: a SIPI with vector VV starts the processor in real mode at CS:IP = VV00:0000 (SDM vol. 3, 9.4.4).
; smp.c copies this page to a free page below 1 MiB, fills the rest of it with breakpoints, and writes
; the parameter block at its end.  All APs run it at once, so it writes no memory: each finds its own slot,
; by its APIC id, only after it has reached kernel text (ap_entry below).
;
; Rules: position-independent (BP-free: everything is addressed from CS or EBX); fits below
; BOOT_AP_PARAMS; the parameter block is read-only while APs run.
%include "offsets.inc"

section .rodata
global ap_trampoline_start
global ap_trampoline_32
global ap_trampoline_end

bits 16
ap_trampoline_start:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	movzx	ebx, ax
	shl	ebx, 4				; EBX: physical address of this page
	; 32-bit operand: the GDT lies above 16 MiB or not, both work.
	o32 lgdt [BOOT_AP_PARAMS + BOOT_AP_GDT]
	mov	eax, 0x11			; PE, ET; CD and NW of the reset state cleared
	mov	cr0, eax
	o32 jmp	far [BOOT_AP_PARAMS + BOOT_AP_FAR32]

bits 32
ap_trampoline_32:
	mov	ax, BOOT_SEL_DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	eax, [ebx + BOOT_AP_PARAMS + BOOT_AP_CR4]
	mov	cr4, eax
	mov	eax, [ebx + BOOT_AP_PARAMS + BOOT_AP_CR3]
	mov	cr3, eax
	mov	ecx, 0xc0000080			; IA32_EFER: LME, and NXE where the boot CPU has it
	mov	eax, [ebx + BOOT_AP_PARAMS + BOOT_AP_EFER]
	xor	edx, edx
	wrmsr
	mov	eax, [ebx + BOOT_AP_PARAMS + BOOT_AP_CR0]
	mov	cr0, eax
	jmp	far [ebx + BOOT_AP_PARAMS + BOOT_AP_FAR64]
ap_trampoline_end:

%if (ap_trampoline_end - ap_trampoline_start) > BOOT_AP_PARAMS
%error "the AP trampoline overlaps its parameter block"
%endif

; --- kernel text, 64 bits ------------------------------------------------------------------------------

section .text
bits 64
global ap_entry
extern smp_slots
extern smp_slot_count
extern smp_ap_start
extern trap_idt_pointer

; Finds the slot of this APIC id, claims it, takes its stack and its cpu_info, and calls smp_ap_start(slot).
; Whoever finds no slot, or one that is claimed or retired already (a second SIPI, a late AP), parks.
ap_entry:
	mov	eax, BOOT_SEL_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax

	; The APIC id by the mode this CPU's LAPIC is in (SDM vol. 3, 11.4.3, 11.12.1): MSR 802H in x2APIC
	; mode, else bits 31..24 of the memory-mapped register.
	mov	ecx, 0x1b			; IA32_APIC_BASE
	rdmsr
	test	eax, 1 << 10			; EXTD
	jnz	.x2apic
	and	eax, 0xfffff000
	and	edx, 0x000fffff
	shl	rdx, 32
	or	rax, rdx
	mov	eax, [rax + 0x20]
	shr	eax, 24
	jmp	.search
.x2apic:
	mov	ecx, 0x802
	rdmsr
.search:
	mov	rdi, [abs smp_slots]
	mov	ecx, [abs smp_slot_count]
.next:
	test	ecx, ecx
	jz	ap_park
	cmp	[rdi + SMP_SLOT_APIC_ID], eax
	je	.found
	add	rdi, SMP_SLOT_BYTES
	dec	ecx
	jmp	.next
.found:
	; Claim: pairs with smp.c's release of SMP_KICKED; only one may win.
	mov	eax, SMP_KICKED
	mov	edx, SMP_CLAIMED
	lock cmpxchg [rdi + SMP_SLOT_STATE], edx
	jne	ap_park

	mov	rax, [rdi + SMP_SLOT_CPU]
	mov	rdx, rax
	shr	rdx, 32
	mov	ecx, 0xc0000101			; IA32_GS_BASE
	wrmsr
	lidt	[abs trap_idt_pointer]
	mov	rsp, [rdi + SMP_SLOT_STACK_TOP]
	xor	ebp, ebp
	call	smp_ap_start
	ud2

ap_park:
	cli
	hlt
	jmp	ap_park
