/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bounds checks of everything that comes from or goes to a wire. */
#include "tests/unit/support.h"

#include "common/bytes.h"

static void test_read(void **state)
{
	static const uint8_t data[] = { 0x01, 0x82, 0x03, 0x84, 0x05, 0x06, 0x07, 0xaa, 0xbb };
	const uint8_t *taken;
	struct rbuf r;

	(void)state;
	rbuf_init(&r, data, sizeof(data));
	assert_int_equal(rbuf_u8(&r), 0x01);
	assert_int_equal(rbuf_u16(&r), 0x8203);
	assert_int_equal(rbuf_u32(&r), 0x84050607);
	taken = rbuf_take(&r, 2);
	assert_ptr_equal(taken, data + 7);
	assert_int_equal(r.left, 0);
	assert_false(r.overrun);
}

/* For each reader and each length shorter than it needs; the buffer is of just that length. */
static void test_read_past_end(void **state)
{
	static const uint8_t data[] = { 0xff, 0xff, 0xff };

	(void)state;
	for (size_t len = 0; len < 4; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		struct rbuf r;

		memcpy(copy, data, len);
		rbuf_init(&r, copy, len);
		if (len == 0)
			assert_int_equal(rbuf_u8(&r), 0);
		else if (len == 1)
			assert_int_equal(rbuf_u16(&r), 0);
		else
			rbuf_u32(&r);
		assert_true(r.overrun);
		rbuf_init(&r, copy, len);
		assert_null(rbuf_take(&r, len + 1));
		assert_true(r.overrun);
		free(copy);
	}
}

static void test_overrun_sticks(void **state)
{
	static const uint8_t data[] = { 1, 2, 3 };
	struct rbuf r;

	(void)state;
	rbuf_init(&r, data, sizeof(data));
	rbuf_u32(&r);
	assert_true(r.overrun);
	/* what is read afterwards is nothing, even if it would have fitted before */
	assert_int_equal(rbuf_u8(&r), 0);
	assert_null(rbuf_take(&r, 1));
	assert_true(r.overrun);
}

static void test_take_nothing(void **state)
{
	static const uint8_t data[] = { 1 };
	struct rbuf r;

	(void)state;
	rbuf_init(&r, data, 1);
	rbuf_u8(&r);
	rbuf_take(&r, 0);
	assert_false(r.overrun);
}

static void test_take_too_much(void **state)
{
	static const uint8_t data[] = { 1, 2 };
	struct rbuf r;

	(void)state;
	rbuf_init(&r, data, 2);
	rbuf_u8(&r);
	/* a length that wraps round must not pass the check */
	assert_null(rbuf_take(&r, SIZE_MAX));
	assert_true(r.overrun);
}

static void test_write(void **state)
{
	static const uint8_t expected[] = { 0x01, 0x82, 0x03, 0x84, 0x05, 0x06, 0x07, 'a', 'b', 0,
		0 };
	uint8_t data[sizeof(expected)];
	struct wbuf w;

	(void)state;
	memset(data, 0xee, sizeof(data));
	wbuf_init(&w, data, sizeof(data));
	wbuf_u8(&w, 0x01);
	wbuf_u16(&w, 0x8203);
	wbuf_u32(&w, 0x84050607);
	wbuf_put(&w, "ab", 2);
	wbuf_zero(&w, 2);
	wbuf_put(&w, NULL, 0);
	assert_int_equal(w.len, sizeof(expected));
	assert_false(w.overflow);
	assert_memory_equal(data, expected, sizeof(expected));
}

/* For each capacity: what does not fit is left out as a whole, and nothing is written behind. */
static void test_write_past_end(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 8; cap++) {
		uint8_t *data = malloc(cap ? cap : 1);
		struct wbuf w;

		wbuf_init(&w, data, cap);
		wbuf_u32(&w, 1);
		wbuf_u32(&w, 2);
		assert_true(w.overflow);
		assert_int_equal(w.len, cap >= 4 ? 4 : 0);
		wbuf_init(&w, data, cap);
		wbuf_zero(&w, cap + 1);
		assert_true(w.overflow);
		assert_int_equal(w.len, 0);
		wbuf_init(&w, data, cap);
		wbuf_put(&w, "12345678", 8);
		assert_true(w.overflow);
		free(data);
	}
}

static void test_overflow_sticks(void **state)
{
	uint8_t data[4];
	struct wbuf w;

	(void)state;
	wbuf_init(&w, data, sizeof(data));
	wbuf_u16(&w, 1);
	wbuf_u32(&w, 2);
	assert_true(w.overflow);
	/* a gap in the middle would be worse than an end too early */
	wbuf_u8(&w, 3);
	assert_int_equal(w.len, 2);
	assert_true(w.overflow);
}

static void test_patch(void **state)
{
	uint8_t data[8];
	struct wbuf w;

	(void)state;
	memset(data, 0xee, sizeof(data));
	wbuf_init(&w, data, sizeof(data));
	wbuf_zero(&w, 4);
	wbuf_patch_u16(&w, 1, 0xabcd);
	wbuf_patch_u16(&w, 2, 0x1234);
	assert_memory_equal(data, "\x00\xab\x12\x34", 4);
	assert_int_equal(w.len, 4);
	/* only what was written may be overwritten */
	wbuf_patch_u16(&w, 3, 0x5555);
	wbuf_patch_u16(&w, 4, 0x5555);
	wbuf_patch_u16(&w, SIZE_MAX, 0x5555);
	assert_memory_equal(data, "\x00\xab\x12\x34\xee\xee\xee\xee", 8);
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "read: numbers are big endian", test_read, NULL);
	suite_add(&suite, "read: past the end is 0 or NULL, and noted", test_read_past_end, NULL);
	suite_add(&suite, "read: an overrun sticks", test_overrun_sticks, NULL);
	suite_add(&suite, "read: nothing at the end is no overrun", test_take_nothing, NULL);
	suite_add(&suite, "read: a huge length does not wrap round", test_take_too_much, NULL);
	suite_add(&suite, "write: numbers are big endian", test_write, NULL);
	suite_add(&suite, "write: past the end is left out, and noted", test_write_past_end, NULL);
	suite_add(&suite, "write: an overflow sticks", test_overflow_sticks, NULL);
	suite_add(&suite, "write: a patch stays within what was written", test_patch, NULL);
	return suite_run(&suite, "bytes");
}
