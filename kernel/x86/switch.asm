; Switching from one thread's stack to another's.
;
; Only what the System V ABI makes a callee keep is saved: the rest is dead at the call.  Flags are not
; saved: interrupts are off on both sides and the direction flag is clear.  The kernel has no FPU state.

global machine_switch
global machine_thread_begin

section .text
bits 64

; void machine_switch(uintptr_t *save_sp, uintptr_t sp)
; The order of the pushes is that of struct thread_frame (thread.c).
machine_switch:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[rdi], rsp
	mov	rsp, rsi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

; Where a new thread's first frame returns to: rbx holds the function, r12 its argument, rbp is 0, which
; ends a backtrace.  The stack is aligned to 16 here.
machine_thread_begin:
	mov	rdi, r12
	call	rbx
	ud2				; the function must not return
