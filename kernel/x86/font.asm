; The console font, embedded (font.mk unpacks it): framebuffer.c parses it.

section .rodata
align 16

global framebuffer_font, framebuffer_font_end
framebuffer_font:
	incbin "font.psf"
framebuffer_font_end:

section .note.GNU-stack noalloc noexec nowrite progbits
