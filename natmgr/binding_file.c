/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding_file owns the form of the state file. It must not know what makes a binding right but
 * its form, nor where the file is.
 */
#include "natmgr/binding_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define FILE_TITLE   "# eipd bindings, version "
#define FILE_HEADER  FILE_TITLE "1"
#define WORDS_MAX    8
#define REPORTED_MAX 50 /* bad lines */

char *binding_format(const struct binding_table *table, const char *interface, time_t ahead,
	size_t *ret_len)
{
	char ip[IP4_STRLEN], mac[MAC_STRLEN], ports[FORWARD_STRLEN], *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	fputs(FILE_HEADER "; eipd writes it: edit it only while eipd is stopped\n", out);
	for (size_t i = 0; i < table->count; i++) {
		const struct binding *binding = &table->list[i];

		fprintf(out, "bind %s %s %s %s:%u\n", ip4_format(binding->address, ip), binding->vm,
			mac_format(&binding->mac, mac), interface, binding->label);
	}
	for (size_t i = 0; i < table->forward_count; i++) {
		const struct forward *forward = &table->forwards[i];

		fprintf(out, "forward %s %s %s %u %s:%u %s\n", forward_format(forward, ports),
			forward->vm, mac_format(&forward->mac, mac), forward->to, interface,
			forward->label, forward->is_source ? "source" : "-");
	}
	for (size_t i = 0; i < table->cooling_count; i++)
		fprintf(out, "cooldown %s %s %s %lld\n", ip4_format(table->cooling[i].address, ip),
			table->cooling[i].vm, mac_format(&table->cooling[i].mac, mac),
			(long long)(table->cooling[i].until + ahead));
	if (fclose(out))
		abort();
	return text;
}

/* The N of eth0:N. */
static bool parse_label(const char *word, unsigned *ret_label)
{
	const char *number = strrchr(word, ':');

	return number && !number_parse(number + 1, 1, 10000000, ret_label);
}

static const char *parse_bind(struct binding_table *table, char *const *word)
{
	struct binding binding = { 0 };

	if (ip4_parse(word[1], &binding.address) || !ip4_is_host(binding.address))
		return "not a public address";
	if (!plan_name_is_valid(word[2]))
		return "not a VM's name";
	if (mac_parse(word[3], &binding.mac))
		return "not a MAC";
	if (!parse_label(word[4], &binding.label))
		return "not a label";
	if (binding_find(table, binding.address))
		return "this address stands here twice";
	if (forward_of(table, binding.address))
		return "this address is shared by a forward";
	snprintf(binding.vm, sizeof(binding.vm), "%s", word[2]);
	table->list = xrealloc(table->list, table->count + 1, sizeof(binding));
	table->list[table->count++] = binding;
	return NULL;
}

static const char *parse_forward(struct binding_table *table, char *const *word)
{
	struct forward forward = { 0 };
	uint32_t to;

	if (forward_parse(word[1], &forward))
		return "not an address and its ports";
	if (!plan_name_is_valid(word[2]))
		return "not a VM's name";
	if (mac_parse(word[3], &forward.mac))
		return "not a MAC";
	if (number_parse(word[4], 1, 65535, &to))
		return "not a port";
	if (!parse_label(word[5], &forward.label))
		return "not a label";
	if (strcmp(word[6], "source") && strcmp(word[6], "-"))
		return "expected source or -";
	if (binding_find(table, forward.address))
		return "this address is bound as a whole";
	if (forward_overlap(table, &forward))
		return "these ports, or some of them, stand here twice";
	forward.to = (uint16_t)to;
	forward.is_source = word[6][0] == 's';
	snprintf(forward.vm, sizeof(forward.vm), "%s", word[2]);
	table->forwards = xrealloc(table->forwards, table->forward_count + 1, sizeof(forward));
	table->forwards[table->forward_count++] = forward;
	return NULL;
}

static const char *parse_cooldown(struct binding_table *table, char *const *word)
{
	struct cooldown cooldown = { 0 };
	char *end;

	if (ip4_parse(word[1], &cooldown.address) || !ip4_is_host(cooldown.address))
		return "not a public address";
	if (!plan_name_is_valid(word[2]))
		return "not a VM's name";
	if (mac_parse(word[3], &cooldown.mac))
		return "not a MAC";
	errno = 0;
	cooldown.until = (time_t)strtoll(word[4], &end, 10);
	/* beyond the year 30,000 it is damage */
	if (errno || *end || end == word[4] || cooldown.until < 0 || cooldown.until >> 40)
		return "not a time";
	snprintf(cooldown.vm, sizeof(cooldown.vm), "%s", word[2]);
	table->cooling = xrealloc(table->cooling, table->cooling_count + 1, sizeof(cooldown));
	table->cooling[table->cooling_count++] = cooldown;
	return NULL;
}

static const char *parse_line(struct binding_table *table, char *line)
{
	char *word[WORDS_MAX] = { NULL }, *next = line;
	size_t count = 0;

	while (count < WORDS_MAX && (word[count] = strsep(&next, " ")))
		count++;
	if (count == 5 && !strcmp(word[0], "bind"))
		return parse_bind(table, word);
	if (count == 7 && !strcmp(word[0], "forward"))
		return parse_forward(table, word);
	if (count == 5 && !strcmp(word[0], "cooldown"))
		return parse_cooldown(table, word);
	return "not understood; expected a line that begins with bind, forward or cooldown";
}

static bool has_header(const char *text)
{
	size_t len = strlen(FILE_HEADER);

	return !strncmp(text, FILE_HEADER, len) && strchr(";\n", text[len]);
}

int binding_parse(const char *text, const char *file, struct binding_table *ret_table,
	struct problems *problems)
{
	size_t before = problems->count, bad = 0;
	unsigned number = 0;

	*ret_table = (struct binding_table){ 0 };
	if (!has_header(text)) {
		problem_add(problems, file, 1,
			"not a file of bindings that this version knows; "
			"expected \"%s\" first",
			FILE_HEADER);
		/* what its lines mean there is not known */
		if (!strncmp(text, FILE_TITLE, strlen(FILE_TITLE)))
			return -EINVAL;
	}
	while (*text) {
		size_t len = strcspn(text, "\n");
		char *line = xmemdup(text, len + 1);
		const char *why = NULL;

		line[len] = '\0';
		number++;
		if (text[len] != '\n')
			why = "cut off";
		else if (len && *line != '#')
			why = parse_line(ret_table, line);
		if (why && ++bad <= REPORTED_MAX)
			problem_add(problems, file, number, "%s", why);
		free(line);
		text += len + (text[len] == '\n');
	}
	if (bad > REPORTED_MAX)
		problem_add(problems, file, number, "and %zu more bad lines up to here",
			bad - REPORTED_MAX);
	return problems->count == before ? 0 : -EINVAL;
}
