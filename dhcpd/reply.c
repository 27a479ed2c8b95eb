/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reply owns how an answer is written and where it is sent. It must not decide anything: the
 * verdict has done so.
 */
#include "dhcpd/reply.h"

#include <string.h>

#include "common/bytes.h"

#define SNAME_OFFSET 44
#define SNAME_LEN    64
#define FILE_OFFSET  108
#define FILE_LEN     128

/* RFC 2131 2: a client must take messages of 576 octets, IP and UDP headers included */
#define DATAGRAM_MIN 576
#define IP_UDP_LEN   28

/* message type, server, lease, T1, T2, overload and END: what no other option may crowd out */
#define CORE_LEN (3 + 4 * 6 + 3 + 1)

#define LEASE_MIN 120 /* the least that a client may ask for, unless less is configured */

/* One option on its way into a reply. */
struct item {
	uint8_t code;
	const uint8_t *data;
	size_t len;
};

struct item_list {
	struct item item[256 + 8];
	size_t count;
	bool has[256];
};

static void push(struct item_list *list, uint8_t code, const void *data, size_t len)
{
	/* each code once: lists of clients name some twice */
	if (list->has[code])
		return;
	list->has[code] = true;
	list->item[list->count++] = (struct item){ code, data, len };
}

/* RFC 3396: longer than 255 octets means several options with one code. */
static size_t encoded_len(const struct item *item)
{
	size_t parts = item->len ? (item->len + 254) / 255 : 1;

	return item->len + 2 * parts;
}

static void put_item(struct wbuf *w, const struct item *item)
{
	size_t done = 0;

	do {
		size_t part = item->len - done > 255 ? 255 : item->len - done;

		wbuf_u8(w, item->code);
		wbuf_u8(w, (uint8_t)part);
		wbuf_put(w, item->data + done, part);
		done += part;
	} while (done < item->len);
}

static size_t room_in(const struct wbuf *w)
{
	return w->cap - w->len;
}

/* Octets of an option that go into such a room, each 255 of them with a header. */
static size_t payload_of(size_t room)
{
	size_t rest = room % 257;

	return room / 257 * 255 + (rest > 2 ? rest - 2 : 0);
}

/* The fields of a message that take options, in the order in which a client reads them. */
enum { IN_OPTIONS, IN_FILE, IN_SNAME, FIELDS };

/*
 * The first field that takes the option whole, or else parts of it to the end of each (RFC 3396 5),
 * if its receivers must be able to put these together: it is long, or so says RFC 3442. False where
 * there is no room for it.
 */
static bool put_somewhere(struct wbuf field[static FIELDS], const struct item *item)
{
	struct item rest = *item;
	size_t room = 0;

	for (size_t i = 0; i < FIELDS; i++) {
		if (encoded_len(item) <= room_in(&field[i])) {
			put_item(&field[i], item);
			return true;
		}
		room += payload_of(room_in(&field[i]));
	}
	if (room < item->len || (item->len <= 255 && item->code != OPT_CLASSLESS_ROUTE))
		return false;
	for (size_t i = 0; i < FIELDS && rest.len; i++) {
		size_t fits = payload_of(room_in(&field[i]));
		struct item part = { item->code, rest.data, rest.len < fits ? rest.len : fits };

		if (part.len)
			put_item(&field[i], &part);
		rest.data += part.len;
		rest.len -= part.len;
	}
	return true;
}

uint32_t reply_lease_time(const struct option_set *options, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict)
{
	const struct vm *vm = verdict->vm;
	uint32_t most = vm && vm->lease_time ? vm->lease_time : options->lease_time, least, asked;

	if (verdict->reply == DHCP_BOOTP)
		return TIME_INFINITE; /* RFC 1534 2: BOOTP knows no end of a lease */
	if (verdict->reply != DHCP_OFFER && verdict->lease != LEASE_GRANTED)
		return 0;
	if (!dhcp_option_u32(request, OPT_LEASE_TIME, &asked) || asked >= most)
		return most;
	least = most < LEASE_MIN ? most : LEASE_MIN;
	return asked < least ? least : asked;
}

/* The octets of the values that differ from reply to reply. */
struct scratch {
	uint8_t type, server[4], lease[4], t1[4], t2[4];
	uint8_t fqdn[3 + 255];
};

static void to_u32(uint8_t out[static 4], uint32_t v)
{
	struct wbuf w;

	wbuf_init(&w, out, 4);
	wbuf_u32(&w, v);
}

static void push_lease(struct item_list *list, struct scratch *scratch, uint32_t seconds)
{
	if (!seconds)
		return;
	to_u32(scratch->lease, seconds);
	push(list, OPT_LEASE_TIME, scratch->lease, 4);
	if (seconds == TIME_INFINITE)
		return;
	/* RFC 2131 4.4.5: half, and seven eighths, of the lease */
	to_u32(scratch->t1, seconds / 2);
	to_u32(scratch->t2, (uint32_t)((uint64_t)seconds * 7 / 8));
	push(list, OPT_T1, scratch->t1, 4);
	push(list, OPT_T2, scratch->t2, 4);
}

static void push_configured(struct item_list *list, const struct reply_context *context,
	const struct vm *vm, uint8_t code)
{
	const struct option_value *value = context->options->by_code[code];

	if (code == OPT_HOST_NAME)
		push(list, code, vm->name, strlen(vm->name));
	else if (value)
		push(list, code, value->data, value->len);
}

static bool wants_classless(const struct reply_context *context, const struct dhcp_message *request)
{
	const struct dhcp_option *wanted = &request->option[OPT_PARAMETER_LIST];

	return wanted->data && context->options->by_code[OPT_CLASSLESS_ROUTE] &&
		memchr(wanted->data, OPT_CLASSLESS_ROUTE, wanted->len);
}

/* RFC 2132 9.8: what the client asks for, in its order where possible; without a list, all. */
static void push_requested(struct item_list *list, const struct reply_context *context,
	const struct dhcp_message *request, const struct vm *vm, bool classless)
{
	const struct dhcp_option *wanted = &request->option[OPT_PARAMETER_LIST];
	const struct option_set *options = context->options;

	/* clients need the mask, listed or not */
	if (!wanted->data || !memchr(wanted->data, OPT_SUBNET_MASK, wanted->len))
		push_configured(list, context, vm, OPT_SUBNET_MASK);
	/* RFC 3442: a client that wants classless routes gets these, and no others beside them */
	if (classless)
		list->has[OPT_ROUTER] = list->has[OPT_STATIC_ROUTE] = true;
	else if (wanted->data)
		list->has[OPT_CLASSLESS_ROUTE] = true;
	for (size_t i = 0; i < wanted->len; i++) {
		/* RFC 2132 3.3: the mask before the router */
		if (wanted->data[i] == OPT_ROUTER)
			push_configured(list, context, vm, OPT_SUBNET_MASK);
		push_configured(list, context, vm, wanted->data[i]);
	}
	if (wanted->data)
		return;
	push_configured(list, context, vm, OPT_HOST_NAME);
	for (size_t i = 0; i < options->count; i++) {
		/* RFC 8925 3.3: never to a client that did not ask for it */
		if (options->values[i].code != OPT_IPV6_ONLY)
			push_configured(list, context, vm, options->values[i].code);
	}
}

#define FQDN_S 0x01 /* the server updates the A record */
#define FQDN_O 0x02 /* and the client had wanted it otherwise */
#define FQDN_E 0x04 /* the name is in DNS wire form, not ASCII */
#define FQDN_N 0x08 /* the server updates nothing */

/* The plan's name, and the domain where there is one, as labels (RFC 1035 3.1) or as ASCII. */
static void put_name(struct wbuf *w, const char *name, const char *domain, bool wire_form)
{
	const char *parts[] = { name, domain };

	for (size_t i = 0; i < 2 && *parts[i]; i++) {
		const char *label = parts[i];

		if (!wire_form) {
			wbuf_put(w, ".", i);
			wbuf_put(w, label, strlen(label));
			continue;
		}
		for (size_t len; (len = strcspn(label, ".")); label += len + (label[len] == '.')) {
			wbuf_u8(w, (uint8_t)len);
			wbuf_put(w, label, len);
		}
	}
	/* without a domain it is a partial name, which has no root (RFC 4702 2.3.1) */
	if (wire_form && *domain)
		wbuf_u8(w, 0);
}

/* RFC 4702 4: we keep no DNS, and the name is the plan's, whatever the client calls itself. */
static void push_fqdn(struct item_list *list, struct scratch *scratch,
	const struct reply_context *context, const struct dhcp_message *request,
	const struct vm *vm)
{
	const struct dhcp_option *asked = &request->option[OPT_FQDN];
	struct wbuf w;
	uint8_t flags;

	if (asked->len < 3)
		return;
	flags = asked->data[0] & FQDN_E;
	/* 4: a client that wanted the server to update is told that it was overridden */
	flags |= asked->data[0] & FQDN_S ? FQDN_N | FQDN_O : FQDN_N;
	wbuf_init(&w, scratch->fqdn, sizeof(scratch->fqdn));
	wbuf_u8(&w, flags);
	wbuf_u8(&w, 255);
	wbuf_u8(&w, 255);
	put_name(&w, vm->name, context->options->domain, flags & FQDN_E);
	if (!w.overflow)
		push(list, OPT_FQDN, scratch->fqdn, w.len);
}

static void collect(struct item_list *list, struct scratch *scratch,
	const struct reply_context *context, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict, bool classless)
{
	list->count = 0;
	memset(list->has, 0, sizeof(list->has));
	if (verdict->reply != DHCP_BOOTP) {
		scratch->type = (uint8_t)verdict->reply;
		to_u32(scratch->server, context->self.addr);
		push(list, OPT_MESSAGE_TYPE, &scratch->type, 1);
		push(list, OPT_SERVER_ID, scratch->server, 4);
	}
	if (verdict->reply == DHCP_NAK) {
		push(list, OPT_MESSAGE, verdict->why, strlen(verdict->why));
		return;
	}
	if (verdict->reply != DHCP_BOOTP)
		push_lease(list, scratch, reply_lease_time(context->options, request, verdict));
	/* RFC 4039 4: the mark of a two-message exchange */
	if (verdict->reply == DHCP_ACK && request->type == DHCP_DISCOVER)
		push(list, OPT_RAPID_COMMIT, "", 0);
	if (verdict->reply != DHCP_BOOTP)
		push_fqdn(list, scratch, context, request, verdict->vm);
	push_requested(list, context, request, verdict->vm, classless);
}

/*
 * Puts the options where there is room, the most important (first) ones first: the options field,
 * then file and sname where these are free (RFC 2131 4.1, option 52). `tail` (RFC 3046 2.2: the
 * relay's option comes last) is always in the options field. Returns one that fits nowhere and is
 * left out (classless routes, if it is these), or 0.
 */
static uint8_t put_options(uint8_t *data, size_t limit, const struct item_list *list,
	const struct item *tail, size_t tail_count, bool file_is_free, bool sname_is_free)
{
	struct wbuf field[FIELDS], *options = &field[IN_OPTIONS];
	size_t reserved = 1, total = 0; /* END */
	uint8_t left_out = 0, where;
	bool overload;

	for (size_t i = 0; i < tail_count; i++)
		reserved += encoded_len(&tail[i]);
	for (size_t i = 0; i < list->count; i++)
		total += encoded_len(&list->item[i]);
	wbuf_init(options, data + DHCP_HEADER_LEN + 4, limit - DHCP_HEADER_LEN - 4);
	overload = total + reserved > options->cap && (file_is_free || sname_is_free);
	reserved += overload ? 3 : 0;
	options->cap -= reserved;
	/* each ends with END */
	wbuf_init(&field[IN_FILE], data + FILE_OFFSET, overload && file_is_free ? FILE_LEN - 1 : 0);
	wbuf_init(&field[IN_SNAME], data + SNAME_OFFSET,
		overload && sname_is_free ? SNAME_LEN - 1 : 0);
	for (size_t i = 0; i < list->count; i++) {
		uint8_t code = list->item[i].code;

		if (!put_somewhere(field, &list->item[i]) &&
			(!left_out || code == OPT_CLASSLESS_ROUTE))
			left_out = code;
	}
	options->cap += reserved;
	where = (uint8_t)((field[IN_FILE].len ? 1 : 0) | (field[IN_SNAME].len ? 2 : 0));
	if (where)
		put_item(options, &(struct item){ OPT_OVERLOAD, &where, 1 });
	/* the rest of the fields is zero: PAD */
	if (where & 1)
		data[FILE_OFFSET + field[IN_FILE].len] = OPT_END;
	if (where & 2)
		data[SNAME_OFFSET + field[IN_SNAME].len] = OPT_END;
	for (size_t i = 0; i < tail_count; i++)
		put_item(options, &tail[i]);
	wbuf_u8(options, OPT_END);
	return left_out;
}

static uint16_t reply_flags(const struct dhcp_message *request, const struct dhcp_verdict *verdict)
{
	/* RFC 2131 4.3.2: a relay must broadcast a NAK, the client may have no address */
	if (verdict->reply == DHCP_NAK && request->giaddr)
		return request->flags | DHCP_FLAG_BROADCAST;
	return request->flags;
}

static void put_header(uint8_t *data, const struct reply_context *context,
	const struct dhcp_message *request, const struct dhcp_verdict *verdict)
{
	bool nak = verdict->reply == DHCP_NAK;
	bool inform = request->type == DHCP_INFORM;
	struct wbuf w;

	wbuf_init(&w, data, DHCP_HEADER_LEN + 4);
	wbuf_u8(&w, BOOTREPLY);
	wbuf_u8(&w, 1);
	wbuf_u8(&w, MAC_LEN);
	wbuf_u8(&w, 0);
	wbuf_u32(&w, request->xid);
	wbuf_u16(&w, 0);
	wbuf_u16(&w, reply_flags(request, verdict));
	/* table 3: ciaddr is copied by ACK, and 0 in the others */
	wbuf_u32(&w,
		verdict->reply == DHCP_ACK && request->type != DHCP_DISCOVER ? request->ciaddr : 0);
	wbuf_u32(&w, nak || inform ? 0 : verdict->vm->ip);
	wbuf_u32(&w, nak ? 0 : context->options->next_server);
	wbuf_u32(&w, request->giaddr);
	wbuf_put(&w, request->chaddr.byte, MAC_LEN);
	wbuf_zero(&w, 10 + SNAME_LEN + FILE_LEN);
	wbuf_u32(&w, DHCP_COOKIE);
}

/* How long the message may be that the client takes. */
static size_t message_limit(const struct dhcp_message *request, size_t cap)
{
	size_t limit;
	uint16_t most;

	/* CVE-2007-5365: a size below the least that there is is no size */
	if (!dhcp_option_u16(request, OPT_MAX_SIZE, &most) || most < DATAGRAM_MIN)
		most = DATAGRAM_MIN;
	if (most > FRAME_MTU)
		most = FRAME_MTU;
	/* RFC 951: BOOTP has a vendor area of 64 octets and no way to ask for more */
	limit = request->type == DHCP_BOOTP ? DHCP_MESSAGE_MIN : most - (size_t)IP_UDP_LEN;
	return limit < cap ? limit : cap;
}

/* What the client and the relay want to see again, as far as it leaves room for the lease. */
static size_t collect_tail(struct item tail[static 2], const struct reply_context *context,
	const struct dhcp_message *request, size_t limit)
{
	const struct dhcp_option *client_id = &request->option[OPT_CLIENT_ID];
	const struct dhcp_option *relay = &request->option[OPT_RELAY_AGENT];
	struct item last = { OPT_RELAY_AGENT, relay->data, relay->len };
	struct item first = { OPT_CLIENT_ID, client_id->data, client_id->len };
	size_t room = limit - DHCP_HEADER_LEN - 4 - CORE_LEN, count = 0;
	bool echo_relay = relay->data && encoded_len(&last) <= room;

	room -= echo_relay ? encoded_len(&last) : 0;
	/* RFC 6842: as it came, with one of its legal lengths (RFC 2132 9.14) */
	if (context->client_id_echo && client_id->len >= 2 && client_id->len <= 255 &&
		encoded_len(&first) <= room)
		tail[count++] = first;
	/* RFC 3046 2.2: as it came, and last */
	if (echo_relay)
		tail[count++] = last;
	return count;
}

/* What lies behind END is zero: mostly half of the message, so not octet by octet at first. */
static size_t trim(const uint8_t *data, size_t len)
{
	static const uint8_t zeros[32];

	while (len >= DHCP_MESSAGE_MIN + sizeof(zeros) &&
		!memcmp(data + len - sizeof(zeros), zeros, sizeof(zeros)))
		len -= sizeof(zeros);
	while (len > DHCP_MESSAGE_MIN && data[len - 1] == 0)
		len--;
	return len;
}

/* Returns an option that had no room, as put_options(). */
static uint8_t write_message(uint8_t *data, size_t limit, const struct reply_context *context,
	const struct dhcp_message *request, const struct dhcp_verdict *verdict, bool classless)
{
	size_t boot_len = strlen(context->options->boot_file), tail_count;
	bool has_boot_file = verdict->reply != DHCP_NAK && boot_len && boot_len < FILE_LEN;
	struct item tail[2];
	struct item_list list;
	struct scratch scratch;

	memset(data, 0, limit);
	put_header(data, context, request, verdict);
	collect(&list, &scratch, context, request, verdict, classless);
	tail_count = collect_tail(tail, context, request, limit);
	/* PXE ROMs read the file field, whatever the options say */
	if (has_boot_file)
		memcpy(data + FILE_OFFSET, context->options->boot_file, boot_len);
	/* BOOTP knows no option overload */
	return put_options(data, limit, &list, tail, tail_count,
		!has_boot_file && request->type != DHCP_BOOTP, request->type != DHCP_BOOTP);
}

size_t reply_encode(const struct reply_context *context, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict, uint8_t *data, size_t cap, uint8_t *ret_left_out)
{
	size_t limit = message_limit(request, cap);
	bool classless = wants_classless(context, request);
	uint8_t left_out = write_message(data, limit, context, request, verdict, classless);

	/* better a router and no other routes than none at all */
	if (left_out == OPT_CLASSLESS_ROUTE)
		(void)write_message(data, limit, context, request, verdict, false);
	*ret_left_out = left_out;
	return trim(data, limit);
}

void reply_address(const struct reply_context *context, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict, const struct frame *request_frame,
	const struct mac *source, struct frame *ret_frame)
{
	struct frame frame = { .source = *source,
		.source_ip = context->self.addr,
		.source_port = PORT_DHCP_SERVER,
		.destination_port = PORT_DHCP_CLIENT };
	bool knows_address = request->ciaddr && request->type != DHCP_DISCOVER;

	/*
	 * RFC 2131 4.1, in its order, but for INFORM, 4.3.5: to ciaddr in any case. A relay could not
	 * hand it on, as that goes by yiaddr.
	 */
	if (request->giaddr && request->type != DHCP_INFORM) {
		frame.destination_ip = request->giaddr;
		frame.destination_port = PORT_DHCP_SERVER;
		/* back over the way it came: the relay, or the router before it */
		frame.destination = request_frame->source;
	} else if (verdict->reply == DHCP_NAK) {
		frame.destination_ip = UINT32_MAX;
		frame.destination = mac_broadcast;
	} else if (knows_address) {
		frame.destination_ip = request->ciaddr;
		frame.destination = request_frame->source;
	} else if (request->flags & DHCP_FLAG_BROADCAST) {
		frame.destination_ip = UINT32_MAX;
		frame.destination = mac_broadcast;
	} else {
		frame.destination_ip = verdict->vm->ip;
		frame.destination = request->chaddr;
	}
	*ret_frame = frame;
}
