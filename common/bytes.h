/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bytes: a bounded reader and a bounded writer over a caller's buffer.
 *
 * The one place where wire formats are checked against their bounds. An access past the end sets
 * a flag that sticks: read or write on, and test the flag once at the end. Numbers are big endian
 * (network order) on the buffer's side and host order on the caller's.
 */
#ifndef EIPD_COMMON_BYTES_H
#define EIPD_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rbuf {
	const uint8_t *p; /* next octet */
	size_t left;
	bool overrun; /* something was read that was not there; it read as 0 or NULL */
};

/* Inline, as a frame is read and written by dozens of these. */
static inline void rbuf_init(struct rbuf *r, const void *data, size_t len)
{
	*r = (struct rbuf){ .p = data, .left = len };
}

/* The next len octets in place, or NULL on overrun. */
static inline const uint8_t *rbuf_take(struct rbuf *r, size_t len)
{
	const uint8_t *p = r->p;

	if (len > r->left) {
		r->overrun = true;
		r->left = 0;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

static inline uint8_t rbuf_u8(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, 1);

	return p ? *p : 0;
}

static inline uint16_t rbuf_u16(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

static inline uint32_t rbuf_u32(struct rbuf *r)
{
	uint32_t high = rbuf_u16(r);

	return high << 16 | rbuf_u16(r);
}

struct wbuf {
	uint8_t *data; /* the caller's */
	size_t len, cap;
	bool overflow; /* something did not fit and was left out */
};

static inline void wbuf_init(struct wbuf *w, void *data, size_t cap)
{
	*w = (struct wbuf){ .data = data, .cap = cap };
}

/* The next len octets, for the caller to fill, or NULL on overflow. */
static inline uint8_t *wbuf_room(struct wbuf *w, size_t len)
{
	uint8_t *p = w->data + w->len;

	if (w->overflow || len > w->cap - w->len) {
		w->overflow = true;
		return NULL;
	}
	w->len += len;
	return p;
}

static inline void wbuf_u8(struct wbuf *w, uint8_t v)
{
	uint8_t *p = wbuf_room(w, 1);

	if (p)
		p[0] = v;
}

static inline void wbuf_u16(struct wbuf *w, uint16_t v)
{
	uint8_t *p = wbuf_room(w, 2);

	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

static inline void wbuf_u32(struct wbuf *w, uint32_t v)
{
	uint8_t *p = wbuf_room(w, 4);

	if (p) {
		p[0] = (uint8_t)(v >> 24);
		p[1] = (uint8_t)(v >> 16);
		p[2] = (uint8_t)(v >> 8);
		p[3] = (uint8_t)v;
	}
}

static inline void wbuf_put(struct wbuf *w, const void *data, size_t len)
{
	uint8_t *p = wbuf_room(w, len);

	if (p && len)
		memcpy(p, data, len);
}

static inline void wbuf_zero(struct wbuf *w, size_t len)
{
	uint8_t *p = wbuf_room(w, len);

	if (p && len)
		memset(p, 0, len);
}

/* Overwrites two octets that were written before. */
static inline void wbuf_patch_u16(struct wbuf *w, size_t offset, uint16_t v)
{
	if (offset > w->len || w->len - offset < 2)
		return;
	w->data[offset] = (uint8_t)(v >> 8);
	w->data[offset + 1] = (uint8_t)v;
}

#endif
