; The first instructions of the kernel, from whichever loader.
;
; Two loaders enter here in 32-bit protected mode without paging: multiboot2 (GRUB, BIOS and UEFI) at
; boot_multiboot2, PVH (QEMU -kernel; Xen's "x86/HVM direct boot ABI") at boot_pvh.  Both paths join, check for
; a 64-bit CPU, map the first 4 GiB one to one, enter long mode and call kmain(magic, info).
;
; What may not be changed: the multiboot2 header stands in the first 32 KiB of the file, 8-aligned
; (multiboot2 3.1.1); nothing here writes memory outside the image, because the loader's information may
; lie anywhere else.
%include "offsets.inc"

global boot_multiboot2
global boot_stack_top
extern kmain
extern bss_start
extern bss_end

; --- headers -----------------------------------------------------------------------------------------

section .multiboot2 progbits alloc noexec nowrite align=8
header:
	dd	0xe85250d6		; multiboot2 magic
	dd	0			; i386, 32-bit protected mode
	dd	header_end - header
	dd	-(0xe85250d6 + 0 + (header_end - header))
	; Ask for a linear framebuffer, optional (flag 1), any size, 32 bits: without this tag UEFI gives none.
	align	8, db 0
	dw	5, 1
	dd	20
	dd	0, 0, 32
	align	8, db 0
	dw	0, 0			; end
	dd	8
header_end:

; The PVH entry point for loaders of ELF files (Xen ELF note 18, XEN_ELFNOTE_PHYS32_ENTRY).
section .note.Xen note alloc noexec nowrite align=4
	dd	4, 4, 18
	db	"Xen", 0
	dd	boot_pvh

; --- 32-bit entry ------------------------------------------------------------------------------------

section .boot.text progbits alloc exec nowrite align=16
bits 32

; EAX holds the magic, EBX the address of the information.
boot_multiboot2:
	cli
	cld
	mov	edi, eax
	jmp	boot_join

; EBX holds the address of struct hvm_start_info.
boot_pvh:
	cli
	cld
	mov	edi, BOOT_MAGIC_PVH
boot_join:
	mov	esi, ebx
	mov	esp, boot_stack_top
	push	dword 0			; a clean EFLAGS: no direction, no nested task, no alignment check
	popfd

	; Zero .bss: page tables and stack live there, so before either is used for good.
	mov	edx, edi
	mov	edi, bss_start
	mov	ecx, bss_end
	sub	ecx, edi
	shr	ecx, 2
	xor	eax, eax
	rep	stosd
	mov	edi, edx

	; A CPU with CPUID lets EFLAGS.ID (bit 21) be changed (SDM vol. 1, 20.1).
	pushfd
	pop	eax
	mov	ecx, eax
	xor	eax, 1 << 21
	push	eax
	popfd
	pushfd
	pop	eax
	push	ecx
	popfd
	xor	eax, ecx
	test	eax, 1 << 21
	jz	boot_refuse
	; Long mode: CPUID 80000001H:EDX.LM, bit 29.
	mov	eax, 0x80000000
	cpuid
	cmp	eax, 0x80000001
	jb	boot_refuse
	mov	eax, 0x80000001
	cpuid
	test	edx, 1 << 29
	jz	boot_refuse

	; First tables: 4 GiB one to one in 2 MiB pages, writable and executable.  paging.c replaces them.
	mov	eax, boot_pd + 3
	mov	ebx, boot_pdpt
	mov	ecx, 4
.pdpt:
	mov	[ebx], eax
	add	eax, 4096
	add	ebx, 8
	loop	.pdpt
	mov	dword [boot_pml4], boot_pdpt + 3
	mov	eax, 0x83		; present, writable, 2 MiB
	mov	ebx, boot_pd
	mov	ecx, 4 * 512
.pd:
	mov	[ebx], eax
	add	eax, 0x200000
	add	ebx, 8
	loop	.pd

	; Every control bit is written, none inherited: firmware and loaders leave CD, NW, LA57 and
	; others behind.  SDM vol. 3, 9.8.5 for the order.
	mov	eax, 1 << 5		; CR4.PAE alone
	mov	cr4, eax
	mov	eax, boot_pml4
	mov	cr3, eax
	mov	ecx, 0xc0000080		; IA32_EFER
	rdmsr
	or	eax, 1 << 8		; LME
	wrmsr
	mov	eax, 0x80000013		; PG, ET, MP, PE; CD and NW clear
	mov	cr0, eax
	lgdt	[boot_gdt_pointer]
	jmp	BOOT_SEL_CODE64:boot_long

; --- refusal: no 64-bit CPU --------------------------------------------------------------------------

boot_refuse:
	; COM1 as the firmware left it, but for 115200 8N1; each wait is bounded.
	mov	esi, boot_uart_setup
	mov	ecx, 5
.setup:
	movzx	edx, word [esi]
	mov	al, [esi + 2]
	out	dx, al
	add	esi, 3
	loop	.setup
	mov	esi, boot_refusal
	mov	edi, 0xb8000
.next:
	lodsb
	test	al, al
	jz	.end
	mov	ah, al
	mov	ecx, 100000
.wait:
	mov	dx, 0x3fd
	in	al, dx
	test	al, 0x20
	jnz	.ready
	loop	.wait
.ready:
	mov	dx, 0x3f8
	mov	al, ah
	out	dx, al
	cmp	al, ' '
	jb	.next
	mov	ah, 0x0f
	stosw
	jmp	.next
.end:
	mov	dx, BOOT_DEBUG_EXIT_PORT
	mov	eax, BOOT_EXIT_FAIL
	out	dx, eax
.halt:
	cli
	hlt
	jmp	.halt

section .boot.rodata progbits alloc noexec nowrite align=8
; Port, value: DLAB on, divisor 1, 8N1, FIFO on.
boot_uart_setup:
	dw	0x3fb
	db	0x80
	dw	0x3f8
	db	0x01
	dw	0x3f9
	db	0x00
	dw	0x3fb
	db	0x03
	dw	0x3fa
	db	0x07
boot_refusal:
	db	13, 10, "xcall: this CPU has no 64-bit mode; a 64-bit x86 CPU is needed.", 13, 10
	db	"END fail", 13, 10, 0

	align	8, db 0
; Also what application processors start with (smp.c).
global boot_gdt
global boot_gdt_end
boot_gdt:
	dq	0
	dq	0x00cf9b000000ffff	; code, 32 bits
	dq	0x00af9b000000ffff	; code, 64 bits
	dq	0x00cf93000000ffff	; data
boot_gdt_end:
boot_gdt_pointer:
	dw	boot_gdt_end - boot_gdt - 1
	dd	boot_gdt

; --- 64-bit ------------------------------------------------------------------------------------------

section .boot.text
bits 64
boot_long:
	mov	eax, BOOT_SEL_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	rsp, boot_stack_top
	xor	ebp, ebp		; ends backtraces
	call	boot_canary
	mov	edi, edi		; magic: upper half clear
	mov	esi, esi		; information
	call	kmain
	ud2

; Makes the stack canary (canary.c), before the first C function, which has one in its frame already.  It lies
; among the constants, which can still be written here.  Keeps rdi and rsi.
boot_canary:
	xor	r8d, r8d		; the random number
	xor	r9d, r9d		; whether there is one
	mov	eax, 1			; RDRAND: CPUID.1:ECX, bit 30
	cpuid
	test	ecx, 1 << 30
	jz	.mix
	; It may have run dry, which CF tells, but not ten times in a row (SDM vol. 1, 7.3.17.1).
	mov	ecx, 10
.rand:
	rdrand	r8
	jc	.random
	loop	.rand
	jmp	.mix
.random:
	inc	r9d
.mix:
	; The counter's bits that differ between boots are its low ones: a multiplication by an odd number and a
	; fold bring them to all places.
	rdtsc
	shl	rdx, 32
	or	rax, rdx
	xor	rax, r8
	mov	rcx, 0xd6e8feb86659fd93
	imul	rax, rcx
	mov	rdx, rax
	shr	rdx, 32
	xor	rax, rdx
	imul	rax, rcx
	xor	al, al			; a string's end: no copy of a string gets past it
	mov	[abs __stack_chk_guard], rax
	mov	[abs canary_is_random], r9d
	ret

section .boot.rodata
	align	8, db 0
global __stack_chk_guard
__stack_chk_guard:
	dq	0
global canary_is_random
canary_is_random:
	dd	0

; --- memory ------------------------------------------------------------------------------------------

section .bss nobits alloc noexec write align=4096
boot_pml4:	resb	4096
boot_pdpt:	resb	4096
boot_pd:	resb	4 * 4096
; The boot CPU's stack, with a page below that paging.c leaves unmapped.
global boot_stack_guard
boot_stack_guard:
		resb	4096
		resb	BOOT_STACK_BYTES
boot_stack_top:
