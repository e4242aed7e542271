# The framebuffer's font: a PSF of Debian's package console-setup-linux, unpacked and embedded by font.asm.

FONT = /usr/share/consolefonts/Lat15-Terminus16.psf.gz

$(BUILD)/font.psf: kernel/x86/font.mk
	@mkdir -p $(@D)
	@test -r $(FONT) || { echo "no $(FONT): install console-setup-linux, or run 'make setup'" >&2; exit 1; }
	@gunzip -c $(FONT) > $@

$(BUILD)/obj/kernel/x86/font.asm.o: $(BUILD)/font.psf
