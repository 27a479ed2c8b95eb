#!/usr/bin/env bash
# scripts/from-dnsmasq: what it makes of dnsmasq's options, and that eipd -t accepts it.
#
#   eth0 ── hypervisor ── br0 192.168.6.22/24 ── eth1

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
SCRIPT=$ROOT/scripts/from-dnsmasq

# from ARGUMENT…: the result in $T/made, what it said in $T/said, the status in $status
from() {
	"$SCRIPT" "$@" >"$T/made" 2>"$T/said" </dev/null
	status=$?
}
# made SENTENCE LINE…: these lines are in the result
made() {
	local sentence=$1 line
	shift
	for line; do
		check "$sentence: $line" grep -qxF -- "$line" "$T/made"
	done
}
said() { check "$1: it says so" grep -qiE -- "$2" "$T/said"; }
# section NAME: its lines, but for comments
section() { awk -v name="[$1]" '/^\[/ { on = $0 == name; next } on && /^[^#]/' "$T/made"; }
# accepted SENTENCE: eipd takes it when the blanks are filled in
accepted() {
	sed -e 's/^#interface = .*/interface = eth0/' \
		-e 's/^#pool = .*/pool = 20.251.48.99-20.251.48.110/' "$T/made" >"$CONF"
	check "$1: eipd -t accepts it, filled in" eipd -t
}

# ---- the command line of the patent, paragraph 0051
touch "$T/update2db.py"
chmod 755 "$T/update2db.py"
from /usr/sbin/dnsmasq --strict-order --bind-interfaces --conf-file= --domain=local \
	--pid-file=/var/run/test.pid --listen-address=192.168.6.22 --interface br0 --except-interface=lo \
	--dhcp-range=192.168.6.1,static,120s --dhcp-lease-max=256 --dhcp-hostsfile="$PLAN" \
	--dhcp-script="$T/update2db.py" --leasefile-ro
patent="the patent's command line"
is "$patent: the status says that something is not carried over" "$status" 1
made "$patent" 'bridge = br0' "file = $PLAN" 'lease-time = 120s' 'domain = local' \
	"callback = $T/update2db.py"
said "$patent, its name server" 'name server'
said "$patent, the outer interface" 'fill in: \[outer\] interface'
said "$patent, the pool" 'fill in: \[outer\] pool'
check "$patent: not a word of what has no effect" not grep -qE 'lease-max|pid-file|leasefile' "$T/said"
accepted "$patent"
cp "$T/made" "$T/first"
from dnsmasq -o -z -C '' -s local -x /var/run/test.pid -a 192.168.6.22 -ibr0 -I lo \
	-F 192.168.6.1,static,120s -X 256 --dhcp-hostsfile "$PLAN" -6 "$T/update2db.py" -9
check "$patent in letters gives the same" cmp "$T/first" "$T/made"
cat >"$T/patent.conf" <<END
# as a file
strict-order
bind-interfaces
domain = local      # of the machines
pid-file=/var/run/test.pid
listen-address=192.168.6.22

interface=br0
dhcp-range=192.168.6.1, static, 120s
dhcp-hostsfile="$PLAN"
dhcp-script=$T/update2db.py
leasefile-ro
END
from "$T/patent.conf"
check "$patent as a file gives the same" cmp "$T/first" "$T/made"
from dnsmasq -C "$T/patent.conf"
check "$patent in a file that is named by -C gives the same" cmp "$T/first" "$T/made"

# ---- all that can be carried over
cat >"$T/all.conf" <<END
port=0
interface=br0
interface=lo
listen-address=127.0.0.1,192.168.6.22
dhcp-authoritative
dhcp-range=192.168.6.0,static,255.255.255.0,12h
dhcp-hostsfile=$PLAN
log-facility=$T/eipd.log
dhcp-option=option:router,192.168.6.1
dhcp-option=option:dns-server,0.0.0.0,9.9.9.9
dhcp-option=42,192.168.6.22
dhcp-option=option:mtu,1400
dhcp-option=15,vms.example
dhcp-option=121,10.0.0.0/8,192.168.6.1,0.0.0.0/0,192.168.6.22
dhcp-option=option:domain-search,vms.example,example
dhcp-option=252,"http://wpad.example/wpad.dat"
dhcp-option=option:posix-timezone,EST5EDT,M3.2.0
dhcp-option=224,01:02:ff
dhcp-option=225,300
dhcp-option=226,7i
dhcp-option=227,"a b;c"
dhcp-option=option:netbios-ns,192.168.6.5,192.168.6.6
dhcp-option=108,00:00:07:08
dhcp-option=tag:quiet,option:router
dhcp-option=tag:gold,option:dns-server,8.8.8.8
dhcp-match=set:bios,option:client-arch,0
dhcp-match=set:uefi,option:client-arch,7
dhcp-match=set:uefi,93,9
dhcp-vendorclass=set:windows,MSFT
dhcp-userclass=set:ipxe,iPXE
dhcp-circuitid=set:port,00:01:70
dhcp-name-match=set:laptop,lap-top
dhcp-option=tag:windows,44,192.168.6.7
dhcp-option=tag:port,26,1300
dhcp-option=tag:laptop,26,1280
dhcp-boot=tag:bios,pxelinux.0,,192.168.6.5
dhcp-boot=tag:uefi,shim.efi
dhcp-boot=tag:ipxe,http://192.168.6.5/boot.ipxe
dhcp-ignore=tag:!known
END
from "$T/all.conf"
is "all that eipd has: the status says that all is carried over" "$status" 0
check "all that eipd has: and nothing else is said" not grep -q 'not carried over' "$T/said"
made "all that eipd has" 'address = 192.168.6.22/24' 'bridge = br0' "log = $T/eipd.log"
is "all that eipd has: [dhcp]" "$(section dhcp | sort)" "$(
	sort <<'KEYS'
lease-time = 12h
router = 192.168.6.1
dns = 192.168.6.22,9.9.9.9
ntp = 192.168.6.22
mtu = 1400
domain = vms.example
static-routes = 10.0.0.0/8 192.168.6.1, 0.0.0.0/0 192.168.6.22
option.119 = hex:03766d73076578616d706c6500076578616d706c6500
option.252 = text:http://wpad.example/wpad.dat
option.100 = text:EST5EDT,M3.2.0
option.224 = hex:0102ff
option.225 = hex:012c
option.226 = hex:00000007
option.227 = hex:6120623b63
option.44 = ip:192.168.6.5,192.168.6.6
option.108 = hex:00000708
KEYS
)"
is "[tag quiet]: a router that is taken away" "$(section 'tag quiet')" 'router = '
is "[tag gold]" "$(section 'tag gold')" 'dns = 8.8.8.8'
is "[tag uefi]: two matches are one list, and the boot server was dnsmasq" \
	"$(section 'tag uefi' | sort)" $'boot-file = shim.efi\nclient-arch = 7, 9\nnext-server = 192.168.6.22'
is "[tag bios]" "$(section 'tag bios' | sort)" \
	$'boot-file = pxelinux.0\nclient-arch = 0\nnext-server = 192.168.6.5'
is "[tag windows]" "$(section 'tag windows' | sort)" $'option.44 = ip:192.168.6.7\nvendor-class = MSFT'
is "[tag ipxe]" "$(section 'tag ipxe' | sort)" \
	$'boot-file = http://192.168.6.5/boot.ipxe\nnext-server = 192.168.6.22\nuser-class = iPXE'
is "[tag port]" "$(section 'tag port' | sort)" $'circuit-id = hex:00:01:70\nmtu = 1300'
is "[tag laptop]" "$(section 'tag laptop' | sort)" $'client-name = lap-top\nmtu = 1280'
accepted "all that eipd has"

# ---- what cannot
cannot() { # SENTENCE REGEX ARGUMENT…: status 1, and the option is named
	local sentence=$1 regex=$2
	shift 2
	from --port=0 --dhcp-authoritative --interface=br0 "$@"
	is "$sentence: status 1" "$status" 1
	check "$sentence: it is named as not carried over" grep -qE "not carried over: .*$regex" "$T/said"
	is "$sentence: and only that" "$(count 'not carried over' "$T/said")" 1
}
cannot "a range of addresses for anybody" 'dhcp-range' --dhcp-range=192.168.6.50,192.168.6.99,12h
made "its lease time is taken" 'lease-time = 12h'
cannot "two networks" 'dhcp-range=10\.' --dhcp-range=192.168.6.0,static --dhcp-range=10.0.0.0,static
cannot "IPv6" 'dhcp-range' --dhcp-range=fd00::1,static
cannot "a second bridge" 'interface=br1' --interface=br1
cannot "a directory of plans" 'dhcp-hostsdir' --dhcp-hostsdir=/etc/hosts.d
cannot "a script with a relative path" 'dhcp-script' --dhcp-script=update2db.py
cannot "a lease time by option" '51' --dhcp-option=51,300
cannot "a name by option" '12' --dhcp-option=12,x
cannot "encapsulated options" 'vendor:' --dhcp-option=vendor:PXEClient,1,0.0.0.0
cannot "an option for two tags together" 'several' --dhcp-option=tag:a,tag:b,26,1400
cannot "a tag by two kinds of request" 'dhcp-userclass' --dhcp-vendorclass=set:a,A --dhcp-userclass=set:a,B
cannot "a tag by MAC" 'dhcp-mac.*plan' '--dhcp-mac=set:a,d0:0d:8e:*:*:*'
cannot "a TFTP server" 'enable-tftp' --enable-tftp
cannot "an option that eipd has never heard of" 'no-such-option' --no-such-option=1
cannot "a name server" 'cache-size' --port=53 --cache-size=1000 --dhcp-option=6,192.168.6.22
from --port=0 --interface=br0 --dhcp-host=d0:0d:8e:9f:42:90,vm-003,192.168.6.245,45m \
	--dhcp-host=d0:0d:8e:9f:42:91,192.168.6.246,vm-004,set:gold
is "machines of the command line: status 0" "$status" 0
made "machines of the command line are lines for the plan" \
	'# append to the plan: d0:0d:8e:9f:42:90,vm-003,192.168.6.245,45m'
sed -n 's/^# append to the plan: //p' "$T/made" >>"$PLAN"
sed -i "s|^#file = .*|file = $PLAN|" "$T/made"
accepted "machines of the command line, in the plan"
said "without dhcp-authoritative" 'note: .*authoritative'

# ---- as networks are written in earnest
cat >"$T/real.conf" <<END
port=0
interface=br0
listen-address=192.168.6.22
dhcp-range=set:lan,192.168.6.0,static,255.255.255.0,1h
dhcp-option=tag:lan,option:router,192.168.6.1
dhcp-option=tag:br0,26,1400
dhcp-option=tag:lan,tag:gold,option:ntp-server,192.168.6.5
dhcp-option=66,"192.168.6.5"
dhcp-option=150,192.168.6.5
dhcp-option=224,"a, b"
dhcp-option=44,0.0.0.0
dhcp-optsfile="$T/real.opts"
dhcp-host=d0:0d:8e:9f:42:92,net:gold,id:*,vm-005.vms.example,192.168.6.247,45m
END
printf '%s\n' '# a file of options' '' 'tag:lan,option:domain-name,"vms.example"' >"$T/real.opts"
from "$T/real.conf"
is "a network in earnest: status 0" "$status" 0
is "a network in earnest: what is for the tag of the range, or of the interface, is for all" \
	"$(section dhcp | sort)" "$(
	sort <<'KEYS'
lease-time = 1h
router = 192.168.6.1
mtu = 1400
domain = vms.example
option.66 = text:192.168.6.5
option.150 = ip:192.168.6.5
option.224 = text:a, b
option.44 = ip:192.168.6.22
KEYS
)"
is "a network in earnest: and what is for another one as well is for that" "$(section 'tag gold')" \
	'ntp = 192.168.6.5'
made "a network in earnest: a machine" \
	'# append to the plan: d0:0d:8e:9f:42:92,set:gold,id:*,vm-005,192.168.6.247,45m'
sed -n 's/^# append to the plan: //p' "$T/made" >>"$PLAN"
sed -i "s|^#file = .*|file = $PLAN|" "$T/made"
accepted "a network in earnest"
cannot "a machine without a name" 'dhcp-host.*a name' --dhcp-host=d0:0d:8e:9f:42:93,192.168.6.248

# what the others get, as it is written in dnsmasq
from --port=0 --interface=br0 --listen-address=192.168.6.22 --dhcp-userclass=set:ipxe,iPXE \
	--dhcp-hostsfile="$PLAN" '--dhcp-boot=tag:!ipxe,undionly.kpxe' \
	--dhcp-boot=tag:ipxe,http://192.168.6.5/boot.ipxe
is "a boot file for all without a tag: status 0" "$status" 0
is "a boot file for all without a tag stands in [dhcp]" "$(section dhcp | grep boot-file)" \
	'boot-file = undionly.kpxe'
accepted "a boot file for all without a tag"

# ---- usage
from
is "without arguments: status 2" "$status" 2
said "without arguments" 'from-dnsmasq FILE'
from "$T/nowhere.conf"
is "a file that is not there: status 2" "$status" 2
said "a file that is not there" "$T/nowhere.conf"
from --port=0 --no-resolv=x surplus
is "a word that is no option: status 2" "$status" 2
done_testing
