/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bytes owns the bounds checks of everything that is read from or written to a wire. It must not
 * know any format.
 */
#include "common/bytes.h"

#include <string.h>

void rbuf_init(struct rbuf *r, const void *data, size_t len)
{
	*r = (struct rbuf){ .p = data, .left = len };
}

const uint8_t *rbuf_take(struct rbuf *r, size_t len)
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

uint8_t rbuf_u8(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, 1);

	return p ? *p : 0;
}

uint16_t rbuf_u16(struct rbuf *r)
{
	const uint8_t *p = rbuf_take(r, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t rbuf_u32(struct rbuf *r)
{
	uint32_t high = rbuf_u16(r);

	return high << 16 | rbuf_u16(r);
}

void wbuf_init(struct wbuf *w, void *data, size_t cap)
{
	*w = (struct wbuf){ .data = data, .cap = cap };
}

static uint8_t *wbuf_room(struct wbuf *w, size_t len)
{
	uint8_t *p = w->data + w->len;

	if (w->overflow || len > w->cap - w->len) {
		w->overflow = true;
		return NULL;
	}
	w->len += len;
	return p;
}

void wbuf_put(struct wbuf *w, const void *data, size_t len)
{
	uint8_t *p = wbuf_room(w, len);

	if (p && len)
		memcpy(p, data, len);
}

void wbuf_zero(struct wbuf *w, size_t len)
{
	uint8_t *p = wbuf_room(w, len);

	if (p && len)
		memset(p, 0, len);
}

void wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_put(w, &v, 1);
}

void wbuf_u16(struct wbuf *w, uint16_t v)
{
	wbuf_put(w, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

void wbuf_u32(struct wbuf *w, uint32_t v)
{
	wbuf_put(w,
		(uint8_t[]){
			(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v },
		4);
}

void wbuf_patch_u16(struct wbuf *w, size_t offset, uint16_t v)
{
	if (offset > w->len || w->len - offset < 2)
		return;
	w->data[offset] = (uint8_t)(v >> 8);
	w->data[offset + 1] = (uint8_t)v;
}
