/*
 * Commands of the monitor.  A command stands beside what it commands; the linker gathers the set.
 */
#ifndef KERNEL_COMMAND_H
#define KERNEL_COMMAND_H

struct command {
	const char *name;
	const char *usage; /* arguments, "" for none */
	const char *help;  /* one line */
	/* argv[0] is the name.  0, or an errno: the monitor then prints the usage.  Thread
	 * context. */
	int (*run)(int argc, char **argv);
};

#define COMMAND(ident, usage_, help_) \
	static int command_##ident(int argc, char **argv); \
	static const struct command command_entry_##ident \
	    __attribute__((used, section("set_commands"), aligned(8))) = { \
		    .name = #ident, .usage = (usage_), .help = (help_), .run = command_##ident \
	    }; \
	static int command_##ident( \
	    int argc __attribute__((unused)), char **argv __attribute__((unused)))

/* Bounds of the set (linker.ld). */
extern const struct command set_commands_start[], set_commands_end[];

#endif
