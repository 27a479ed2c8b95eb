#!/usr/bin/env bash
# What each kind of client is told: sections [tag NAME], and the rules of single options, on the wire.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                             └── vnet1 ── wire: speaks for every MAC

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up wire 02:00:00:ff:00:01

repeated() { "$PYTHON" -c 'import sys; print(sys.argv[1] * int(sys.argv[2]))' "$1" "$2"; }
conf dhcp.lease-time 10m
conf dhcp.dns 192.168.6.22
conf dhcp.domain vms.example
conf dhcp.ntp 192.168.6.22
conf dhcp.mtu 1400
conf dhcp.option.108 hex:00000708
conf dhcp.option.224 "text:$(repeated abcdefghij 60)"
conf dhcp.option.225 "hex:$(repeated e1 150)"
conf dhcp.option.226 "hex:$(repeated e2 120)"
conf dhcp.option.227 "hex:$(repeated e3 60)"
conf dhcp.option.228 "hex:$(repeated e4 50)"

cat >"$T/tags" <<'TAGS'
[tag ipxe]
user-class = iPXE
boot-file = http://192.168.6.5/boot.ipxe
next-server =
[tag bios]
vendor-class = PXEClient
client-arch = 0
boot-file = pxelinux.0
next-server = 192.168.6.5
[tag uefi]
vendor-class = PXEClient
client-arch = 7, 9
boot-file = shim.efi
next-server = 192.168.6.6
[tag windows]
vendor-class = MSFT
mtu = 1350
[tag laptop]
client-name = Lap-Top
mtu = 1280
[tag port-hex]
circuit-id = hex:0001706f7274
mtu = 1111
[tag port-text]
circuit-id = text:port-7
mtu = 1112
[tag both]
vendor-class = both
client-name = both
mtu = 1222
[tag gold]
dns = 9.9.9.9
ntp =
lease-time = 20m
[tag silver]
dns = 8.8.8.8
domain = silver.example
lease-time = 5m
mtu = 1300
[tag empty]
dns =
ntp =
domain =
mtu =
router =
[tag Mixed]
mtu = 1234
[tag routes]
static-routes = 10.0.0.0/8 192.168.6.1, 172.16.16.0/20 192.168.6.2
[tag decade]
lease-time = 3650d
[tag forever]
lease-time = infinite
TAGS

plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" \
	d0:0d:8e:9f:45:01,gold,192.168.6.51,set:gold \
	d0:0d:8e:9f:45:02,gold-silver,192.168.6.52,set:gold,set:silver \
	d0:0d:8e:9f:45:03,silver-gold,set:silver,192.168.6.53,set:gold \
	d0:0d:8e:9f:45:04,gold-45m,192.168.6.54,set:gold,45m \
	d0:0d:8e:9f:45:05,empty,192.168.6.55,set:empty \
	d0:0d:8e:9f:45:06,no-section,192.168.6.56,set:nothing \
	d0:0d:8e:9f:45:07,mixed,192.168.6.57,set:Mixed \
	d0:0d:8e:9f:45:08,windows,192.168.6.58,set:windows \
	d0:0d:8e:9f:45:09,routes,192.168.6.59,set:routes \
	d0:0d:8e:9f:45:0a,bootp,192.168.6.60 \
	d0:0d:8e:9f:45:0b,rapid,192.168.6.61 \
	d0:0d:8e:9f:45:0c,decade,192.168.6.62,set:decade \
	d0:0d:8e:9f:45:0d,forever,192.168.6.63,set:forever

# start: the daemon with the tags behind the rest
start() {
	conf_write
	cat "$T/tags" >>"$CONF"
	eipd >"$T/start" 2>&1 </dev/null || die "eipd does not start: $(cat "$T/start")"
}

cat >"$T/callback" <<'END'
#!/bin/sh
echo "$1 $4 $DNSMASQ_DOMAIN" >>"${0%/*}/domains"
END
chmod 755 "$T/callback"
conf dhcp.callback "$T/callback"
start
points vm wire "$PYTHON" "$HERE/kinds.py" tags
points vm wire "$PYTHON" "$HERE/kinds.py" options
is "a machine whose options have no room is named, once" \
	"$(count 'vm-001: an answer .* has no room for option' "$LOG")" 1
lease_of() { field "[l['expires'] for l in d if l['name'] == '$1']" lease list; }
is "the lease of a BOOTP client has no end" "$(lease_of bootp)" '[null]'
like "a rapid commit is a lease" "$(lease_of rapid)" '^\[[0-9]+\]$'
vm wire "$PYTHON" "$HERE/wire.py" odd d0:0d:8e:9f:45:03 192.168.6.53 >"$T/odd"
called() { grep -qxF "$*" "$T/domains"; }
check "the callback is told the domain of a tag" wait_for 5 called "add silver-gold silver.example"
check "or that of [dhcp]" wait_for 5 called "add rapid vms.example"
is "an INFORM or a NAK of somebody without a lease makes none" "$(lease_of vm-002)" '[]'
daemon_end TERM

conf dhcp.client-id-echo no
start
points vm wire "$PYTHON" "$HERE/kinds.py" no-echo
daemon_end TERM

conf dhcp.option.224 "hex:$(repeated 0123456789 60)"
conf dhcp.option.224.2 "hex:$(repeated 0123456789 60)"
conf_write
check "an option of 600 octets in hex, in two keys: -t accepts it" eipd -t
conf dhcp.option.224
conf dhcp.option.224.2

# ---- what can be wrong in a tag
# wrong SENTENCE REGEX LINE…: these lines in a tag are an error of the last line
wrong() {
	local sentence=$1 regex=$2 status said
	shift 2
	conf_write
	printf '%s\n' '[tag x]' "$@" >>"$CONF"
	said=$(eipd -t 2>&1 </dev/null)
	status=$?
	is "$sentence: -t exits 1" $status 1
	like "$sentence: with file, line and what is wrong" "$said" \
		"$CONF:$(wc -l <"$CONF"): [^"$'\n'"]*$regex"
}
wrong "an unknown key" 'vendor-clas[^s].*vendor-class' 'vendor-clas = MSFT'
wrong "a key of [dhcp] that is none of options" 'callback' 'callback = /bin/true'
wrong "a bad circuit-id" 'circuit-id' 'circuit-id = port'
wrong "a bad client-arch" 'client-arch' 'client-arch = 7, UEFI'
wrong "a bad value" 'mtu' 'mtu = 12'
wrong "a key twice" 'mtu.*twice' 'mtu = 1400' 'mtu = 1401'
done_testing
