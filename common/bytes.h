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

struct rbuf {
	const uint8_t *p; /* next octet */
	size_t left;
	bool overrun; /* something was read that was not there; it read as 0 or NULL */
};

void rbuf_init(struct rbuf *r, const void *data, size_t len);
uint8_t rbuf_u8(struct rbuf *r);
uint16_t rbuf_u16(struct rbuf *r);
uint32_t rbuf_u32(struct rbuf *r);
/* The next len octets in place, or NULL on overrun. */
const uint8_t *rbuf_take(struct rbuf *r, size_t len);

struct wbuf {
	uint8_t *data; /* the caller's */
	size_t len, cap;
	bool overflow; /* something did not fit and was left out */
};

void wbuf_init(struct wbuf *w, void *data, size_t cap);
void wbuf_u8(struct wbuf *w, uint8_t v);
void wbuf_u16(struct wbuf *w, uint16_t v);
void wbuf_u32(struct wbuf *w, uint32_t v);
void wbuf_put(struct wbuf *w, const void *data, size_t len);
void wbuf_zero(struct wbuf *w, size_t len);
/* Overwrites two octets that were written before. */
void wbuf_patch_u16(struct wbuf *w, size_t offset, uint16_t v);

#endif
