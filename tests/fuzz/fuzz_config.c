/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eipd.conf of any octets: refused, or a configuration from which options can be made. */
#include "dhcpd/options.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ip4_prefix self = { 0xc0a80616, 24 };
	static struct dhcp_message request;
	struct config *config = fuzz_load_config((const char *)data, size);
	struct option_catalog *catalog;

	if (!config)
		return 0;
	if (!*config->inner.bridge || !*config->outer.interface || !config_pool_size(config))
		abort();
	catalog = option_catalog_new(config, &self);
	(void)option_catalog_select(catalog, NULL, &request);
	option_catalog_free(catalog);
	config_free(config);
	return 0;
}
