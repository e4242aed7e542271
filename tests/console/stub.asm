; A kernel for tests of the harness: prints its command line to COM1 and does as it says.
;
;	~	a newline
;	@0 @1 @2	writes 0x10, 0x11, 0x12 to isa-debug-exit: passed, failed, panicked
;	@H	hangs
;	@T	triple fault: the machine resets
;
; Loaded by -kernel through its PVH note (Xen, docs/misc/pvh.pandoc): 32-bit protected mode, EBX points to
; hvm_start_info, whose word at offset 24 is the address of the command line.

%define COM1 0x3f8
%define DEBUG_EXIT 0xf4
%define START_INFO_CMDLINE 24
%define XEN_ELFNOTE_PHYS32_ENTRY 18

	bits 32

	section .note.pvh note alloc
	dd 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dd start

	section .text
	global start
start:
	mov esi, [ebx + START_INFO_CMDLINE]
.next:
	lodsb
	test al, al
	jz hang
	cmp al, '@'
	je .order
	cmp al, '~'
	jne .put
	mov al, 10
.put:
	mov dx, COM1
	out dx, al
	jmp .next
.order:
	lodsb
	cmp al, 'T'
	je triple_fault
	cmp al, 'H'
	je hang
	add al, 0x10 - '0'
	mov dx, DEBUG_EXIT
	out dx, al
hang:
	hlt
	jmp hang

triple_fault:
	lidt [no_idt]
	int3

	section .rodata
no_idt:
	dw 0
	dd 0
