; The floor: the cheapest way for an interrupt to reach C code and come back.
;
; Saves what a C function may change, no more; no frame, no vector table, no counters.

global bench_stub
global bench_gate
extern bench_floor_intr

section .text
bits 64

bench_stub:
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
	call	bench_floor_intr
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

; void bench_gate(unsigned vector, uintptr_t stub): that vector goes there from now on, on every CPU: they share
; the table.  Selector, stack and type stay as they are.  (SDM vol. 3, figure 6-8.)
bench_gate:
	sub	rsp, 16
	sidt	[rsp]
	mov	rax, [rsp + 2]
	add	rsp, 16
	mov	edi, edi
	shl	rdi, 4
	add	rax, rdi
	mov	[rax], si
	shr	rsi, 16
	mov	[rax + 6], si
	shr	rsi, 16
	mov	[rax + 8], esi
	ret
