; Entry of all 256 vectors, and the accesses that may fault.
;
; Each stub leaves the same frame, struct trapframe (trap.h): a zero stands in for the error code where the
; CPU pushes none, so that there is one layout.  All code runs at ring 0: no swapgs, GS base always
; is this CPU's cpu_info.
%include "offsets.inc"

extern intr_dispatch_call
extern trap_entry
global trap_stubs
global trap_return

section .text
bits 64

; The CPU pushes an error code for these (SDM vol. 3, table 6-1).
%define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

%assign v 0
%rep 256
trap_stub_ %+ v:
%if !HAS_ERROR(v)
	push	qword 0
%endif
	push	qword v
	jmp	trap_common
%assign v v + 1
%endrep

%macro POP_REGISTERS 0
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rbp
	pop	rdi
	pop	rsi
	pop	rdx
	pop	rcx
	pop	rbx
	pop	rax
%endmacro

trap_common:
	push	rax
	push	rbx
	push	rcx
	push	rdx
	push	rsi
	push	rdi
	push	rbp
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
%if TRAPFRAME_R15 != 0 || TRAPFRAME_RAX != 14 * 8 || TRAPFRAME_VECTOR != 15 * 8 || TRAPFRAME_RIP != 17 * 8 \
	|| TRAPFRAME_RSP != 20 * 8
%error "struct trapframe and trap.asm disagree"
%endif
	cld
	; The CPU aligned the stack to 16 before it pushed five words; with ours the frame is a multiple of 16.
	mov	rdi, rsp
	xor	ebp, ebp		; the handler's backtrace ends here; the frame has its own
	call	trap_entry
	test	al, al
	jnz	trap_return_in_nmi
trap_return:
	POP_REGISTERS
	add	rsp, 16			; vector and error code
	iretq

; The vector of cross calls, by far the most frequent where it matters: saves what C does not save itself.  Nine
; words and the CPU's five leave the stack aligned to 16.  rbp stays: a backtrace goes on into what was interrupted.
global trap_stub_call
trap_stub_call:
	push	rax
	push	rcx
	push	rdx
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	cld
	call	intr_dispatch_call
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rdx
	pop	rcx
	pop	rax
	iretq

; NMIs stay blocked until an IRET, any IRET (SDM vol. 3, 6.7.1).  One that ends a fault inside an NMI would let
; the next NMI in, at the top of the stack that this one stands on.  So that fault goes back with POPF and
; RET, which do the rest of IRET's work: the segments are the same.  The flags and the address go to where RET
; needs them, below the interrupted stack pointer: no code here has a red zone, and there lie only the
; frame's two last words, which are read before.  The vector's place in the frame takes the stack pointer.
trap_return_in_nmi:
	mov	rax, [rsp + TRAPFRAME_RIP]
	mov	rbx, [rsp + TRAPFRAME_RFLAGS]
	mov	rcx, [rsp + TRAPFRAME_RSP]
	mov	[rcx - 8], rax
	mov	[rcx - 16], rbx
	sub	rcx, 16
	mov	[rsp + TRAPFRAME_VECTOR], rcx
	POP_REGISTERS
	pop	rsp
	popfq
	ret

; --- accesses that may fault ---------------------------------------------------------------------------

%macro FIXUP 2				; instruction, where to resume
section trap_fixups progbits alloc noexec nowrite align=8
	dq	%1, %2
section .text
%endmacro

global trap_rdmsr
global trap_wrmsr
global trap_load

; bool trap_rdmsr(uint32_t msr, uint64_t *value)
trap_rdmsr:
	mov	ecx, edi
.at:	rdmsr
	shl	rdx, 32
	or	rax, rdx
	mov	[rsi], rax
	mov	eax, 1
	ret
	FIXUP .at, trap_refused

; bool trap_wrmsr(uint32_t msr, uint64_t value)
trap_wrmsr:
	mov	ecx, edi
	mov	eax, esi
	mov	rdx, rsi
	shr	rdx, 32
.at:	wrmsr
	mov	eax, 1
	ret
	FIXUP .at, trap_refused

; bool trap_load(const void *address, uint64_t *value)
trap_load:
.at:	mov	rax, [rdi]
	mov	[rsi], rax
	mov	eax, 1
	ret
	FIXUP .at, trap_refused

trap_refused:
	xor	eax, eax
	ret

; --- the stubs' addresses, for the IDT -------------------------------------------------------------------

section .rodata
align 8
trap_stubs:
%assign v 0
%rep 256
	dq	trap_stub_ %+ v
%assign v v + 1
%endrep
