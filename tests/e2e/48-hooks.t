#!/usr/bin/env bash
# The life of a virtual machine and of its addresses: scripts/eip-vm, and the hooks called as libvirt
# and Xen call them (arguments, environment, standard input).
#
#   hypervisor: eipd, the hooks, a stand-in for vif-bridge and one for xenstore-read
#   eth0 ── br0 192.168.6.22/24 (no virtual machine runs)

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
daemon_up

public() { field "[v['public'] for v in d if v['name'] == '$1']" vm list; }
planned() { field "[(v['mac'], v['ip']) for v in d if v['name'] == '$1']" vm list; }
port_of() { field "json.dumps(d['port'])" vm show "$1"; }
# a port of the bridge that nothing has spoken on
port() {
	ip -n "$HV" link add "$1" type veth peer name "far-$1"
	ip -n "$HV" link set "$1" master br0 up
}
port vnet1
port vif3.0
NONE='[[]]' GONE='[]'
# outcome SENTENCE STATUS COMMAND…: it ends with the status; both outputs in $said
outcome() {
	local sentence=$1 wanted=$2 status
	shift 2
	said=$("$@" 2>&1 </dev/null)
	status=$?
	is "$sentence" "$status" "$wanted"
	[[ $status == "$wanted" ]] || echo "# $said"
}

EIPCTL_PLAIN=$EIPCTL
for shell in sh "busybox sh"; do
	# ---- eip-vm
	# shellcheck disable=SC2086 # an interpreter of two words
	eip() { EIPCTL="$EIPCTL_PLAIN -s $SOCKET" EIP_VMS="$T/vms" EIP_TIMEOUT=${limit-20} $shell "$ROOT/scripts/eip-vm" "$@"; }
	mac=02:00:00:00:00:07
	outcome "$shell: a new machine starts" 0 eip start web --mac 02-00-00-00-00-07 --ip 192.168.6.70 --public
	is "it says nothing" "$said" ""
	is "it is in the plan" "$(planned web)" "[[\"$mac\", \"192.168.6.70\"]]"
	check "and in the file" grep -qi "$mac,web,192.168.6.70\|web.*192.168.6.70" "$PLAN"
	is "it has an address of the pool" "$(public web)" '[["20.251.48.99"]]'
	outcome "it starts again" 0 eip start web --mac "$mac" --public
	is "with the same address, and no second one" "$(public web)" '[["20.251.48.99"]]'
	outcome "it stops" 0 eip stop web
	is "and keeps its address" "$(public web)" '[["20.251.48.99"]]'
	outcome "it starts with an address by name" 0 eip start web --public 20.251.48.105
	is "and has both" "$(public web)" '[["20.251.48.99", "20.251.48.105"]]'
	ctl forward add 20.251.48.106:80/tcp web >/dev/null
	outcome "it stops and gives them back" 0 eip stop web --release
	is "they are free" "$(field '[a["address"] for a in d if a["vm"]]' ip list)" "[]"
	is "what it shares by ports is still shared" "$(field 'len(d)' forward list)" 1
	is "it stays in the plan" "$(planned web)" "[[\"$mac\", \"192.168.6.70\"]]"
	outcome "it stops again" 0 eip stop web --release
	outcome "it starts on a port" 0 eip start web --port vnet1
	is "which is known before it has sent anything" "$(port_of web)" '"vnet1"'
	outcome "on a port that does not exist: refused" 1 eip start web --port vnet77 --public
	like "and told so" "$said" '^eip-vm: start web: vnet77: there is no such link'
	is "but it has its address" "$(public web)" '[["20.251.48.99"]]'
	outcome "it gives it back" 0 eip stop web --release
	outcome "it starts without an address" 0 eip start web --mac "$mac"
	is "and has none" "$(field '[a["address"] for a in d if a["vm"]]' ip list)" "[]"
	outcome "it starts with another MAC: refused" 1 eip start web --mac 02:00:00:00:00:08
	like "and both are named" "$said" '02:00:00:00:00:07.*02:00:00:00:00:08'
	is "the plan stays" "$(planned web)" "[[\"$mac\", \"192.168.6.70\"]]"
	ctl ip bind vm-002 "$EIP2" >/dev/null
	outcome "it starts with another's address: refused" 1 eip start web --public "$EIP2"
	like "and told whose it is" "$said" '^eip-vm: start web: .*vm-002'
	ctl ip unbind "$EIP2" >/dev/null
	ctl ip bind web "$EIP1" >/dev/null
	outcome "it is deleted" 0 eip delete web
	is "it is not in the plan" "$(planned web)" "$GONE"
	is "its addresses are free" "$(field '[a["address"] for a in d if a["state"] != "free"]' ip list)" "[]"
	is "no rule of them is left" "$(rules_of 192.168.6.70 "$EIP1")" 0
	outcome "it is deleted again" 0 eip delete web
	outcome "it stops after that" 0 eip stop web --release
	outcome "a machine without a MAC starts" 0 eip start db
	like "a MAC was chosen" "$(planned db)" '02:'
	outcome "a machine starts whose name is none" 1 eip start ../db
	outcome "or is no DNS label" 1 eip start my_db
	like "it is told" "$said" '^eip-vm: start my_db: .'
	for wrong in "" "start" "begin db" "start db --mac" "stop db --public" "delete db now" "prune db" "bridge db"; do
		# shellcheck disable=SC2086 # words
		outcome "usage: '$wrong'" 2 eip $wrong
	done

	# ---- prune
	eip start old </dev/null
	prune() { printf '%s\n' "$@" | eip prune; }
	outcome "prune without a name: refused" 1 prune "" " "
	outcome "prune" 0 prune "" vm-009 DB ""
	is "who is listed stays" "$(planned db | grep -c 02:)" 1
	is "who is not listed is deleted" "$(planned old)" "$GONE"
	is "who was in the plan before stays" "$(planned vm-001 | grep -c "$IP1")" 1
	outcome "prune again" 0 prune vm-009
	is "now that one too" "$(planned db)" "$GONE"
	is "nobody else" "$(field 'sorted(v["name"] for v in d)' vm list)" '["vm-001", "vm-002"]'

	# ---- no daemon
	pid=$(daemon_pid)
	kill -STOP "$pid"
	limit=1 outcome "a daemon that hangs: start" 0 eip start web --mac "$mac" --public
	like "a warning" "$said" '^eip-vm: start web: no answer within 1 s; what was asked may yet be done$'
	limit=1 outcome "a daemon that hangs: stop" 0 eip stop vm-001 --release
	kill -CONT "$pid"
	# an old timeout of busybox, before 1.30
	mkdir -p "$T/old"
	# shellcheck disable=SC2016 # the stand-in expands it
	printf '#!/bin/sh\n[ "$1" != -t ] || { shift && exec %s "$@"; }\nexec "$@"\n' "$(command -v timeout)" >"$T/old/timeout"
	chmod 755 "$T/old/timeout"
	kill -STOP "$pid"
	begun=$SECONDS
	PATH=$T/old:$PATH limit=1 outcome "and with the timeout of an old busybox" 0 eip start web --mac "$mac"
	check "which ends the client, too" test $((SECONDS - begun)) -le 15
	kill -CONT "$pid"
	# iptables is busy: the client is gone when the address is bound
	outcome "a machine without an address" 0 eip start web --mac "$mac"
	exec {lock}>"$XTABLES_LOCKFILE"
	flock "$lock"
	limit=1 outcome "an address that takes its time: start" 0 eip start web --mac "$mac" --public
	like "a warning" "$said" '^eip-vm: start web: no answer within 1 s; what was asked may yet be done$'
	exec {lock}>&-
	bound() { [[ $(public web) == "[[\"$EIP1\"]]" ]]; }
	check "it is bound by and by" wait_for 5 bound
	outcome "deleted" 0 eip delete web
	# what eipctl says and does where the socket is not for the caller
	printf '#!/bin/sh\necho "eipctl: /s: not permitted; run it as root" >&2\nexit 1\n' >"$T/denied"
	chmod 755 "$T/denied"
	: >"$T/vms/vm-001"
	for words in "start web" "stop vm-001 --release" "delete vm-001" bridge; do
		# shellcheck disable=SC2086 # words
		EIPCTL_PLAIN=$T/denied outcome "not permitted: $words" 1 eip $words
		like "in eipctl's words" "$said" "^eip-vm: ${words%% -*}: /s: not permitted; run it as root\$"
	done
	check "the note for prune stays" rm "$T/vms/vm-001"
	daemon_end TERM
	for words in "start web --mac $mac --public" "stop vm-001 --release" "delete vm-001"; do
		# shellcheck disable=SC2086 # words
		outcome "no daemon: $words" 0 eip $words
		like "a warning" "$said" "^eip-vm: ${words%% -*}: no daemon at .*; start eipd"
	done
	touch "$T/vms/one" "$T/vms/two"
	said=$(prune vm-001 2>&1)
	is "no daemon: prune" "$? ${said%%at *}" "0 eip-vm: prune: no daemon "
	check "and the notes stay" rm "$T/vms/one" "$T/vms/two"
	EIPCTL_PLAIN=$T/nothing outcome "no eipctl: start" 0 eip start web --mac "$mac"
	like "a warning" "$said" "^eip-vm: start web: .*nothing"
	daemon_up
	is "the bridge's name" "$(eip bridge)" br0

	# ---- libvirt
	cat >"$T/hooks.conf" <<-END
		VMS='web* db stays'
		PUBLIC='web-*'
		RELEASE='web-2'
		EIPCTL='$EIPCTL_PLAIN -s $SOCKET'
		EIP_VM='$T/eip-vm'
		echo chatter
	END
	# shellcheck disable=SC2016 # the program expands it
	printf '#!/bin/sh\nEIP_VMS=%s EIP_TIMEOUT=${limit-20} exec %s %s "$@"\n' "$T/vms" "$shell" "$ROOT/scripts/eip-vm" >"$T/eip-vm"
	chmod 755 "$T/eip-vm"
	# domain NAME BRIDGE MAC: as libvirt writes it
	domain() {
		cat <<-END
			<domain type='kvm' id='3'>
			  <name>$1</name>
			  <uuid>8d1a0a5e-2d0f-4c8a-9f3e-2f4f1c1f7d11</uuid>
			  <devices>
			    <emulator>/usr/bin/qemu-system-x86_64</emulator>
			    <interface type='network'>
			      <mac address='52:54:00:00:00:01'/>
			      <source network='default' portid='ab-cd' bridge='virbr0'/>
			      <target dev='vnet0'/>
			    </interface>
			    <interface type='bridge'>
			      <mac address='$3'/>
			      <source bridge='$2'/>
			      <target dev='vnet1'/>
			      <model type='virtio'/>
			    </interface>
			    <interface type='bridge'>
			      <mac address='52:54:00:00:00:03'/>
			      <source bridge='$2'/>
			    </interface>
			  </devices>
			</domain>
		END
	}
	# shellcheck disable=SC2086 # an interpreter of two words
	qemu() { # NAME OPERATION SUB-OPERATION EXTRA <XML
		said=$(EIPD_HOOKS_CONF=$T/hooks.conf $shell "$ROOT/scripts/hooks/libvirt-qemu" "$@" 2>"$T/qemu.err")
		is "libvirt, $shell: $1 $2: status 0, and nothing that libvirt would take for XML" "$? $said" "0 "
	}
	# begins NAME XML: all that libvirt calls at a start
	begins() {
		qemu "$1" prepare begin - <<<"$2"
		qemu "$1" start begin - <<<"$2"
		qemu "$1" started begin - <<<"$2"
	}
	# ends NAME: at a stop, with an XML that names no bridge and no MAC
	ends() {
		qemu "$1" stopped end - <<<"<domain type='kvm'><name>$1</name></domain>"
		qemu "$1" release end - <<<"<domain type='kvm'><name>$1</name></domain>"
	}
	begins web-1 "$(domain web-1 br0 52:54:00:00:01:01)"
	like "it is in the plan with the MAC of its card on the bridge" "$(planned web-1)" '^\[\["52:54:00:00:01:01", "192.168.6.'
	is "it has an address" "$(public web-1)" "[[\"$EIP1\"]]"
	is "and its port is known" "$(port_of web-1)" '"vnet1"'
	ctl vm isolate web-1 >/dev/null
	is "it is isolated: on the port, though it has sent nothing" "$(field 'd["port"]' vm isolate web-1)" vnet1
	ctl vm rejoin web-1 >/dev/null
	begins web-2 "$(domain web-2 br0 52:54:00:00:01:02 | tr -d '\n' | tr "'" '"')"
	is "an XML in one line: it has an address" "$(public web-2)" "[[\"$EIP2\"]]"
	begins db "$(domain db br0 52:54:00:00:01:03)"
	is "one that is to have none has none" "$(public db)" "$NONE"
	begins web-3 "$(domain web-3 virbr7 52:54:00:00:01:04)"
	is "one on another bridge is not in the plan" "$(planned web-3)" "$GONE"
	begins other "$(domain other br0 52:54:00:00:01:05)"
	is "one that is not ours is not in the plan" "$(planned other)" "$GONE"
	begins web-4 "$(domain web-4 virbr7 '' | sed "s/<source bridge='virbr7'\/>/<source network='lan'\/>/")"
	is "one without a bridge yet is not" "$(planned web-4)" "$GONE"
	qemu web-4 started begin - < <(domain web-4 br0 52:54:00:00:01:06 |
		sed "s/<source bridge='br0'/<source network='lan' bridge='br0'/")
	is "but is when it has one" "$(public web-4)" '[["20.251.48.101"]]'
	ends web-1
	is "it stopped: it keeps its address" "$(public web-1)" "[[\"$EIP1\"]]"
	ends web-2
	is "one that is to give it back does" "$(public web-2)" "$NONE"
	is "and stays in the plan" "$(planned web-2 | grep -c 52:54)" 1
	ends web-3
	qemu db release end - </dev/null
	qemu web-4 stopped end - < <(head -c 300000 /dev/zero | tr '\0' x)
	qemu db migrate begin - < <(domain db br0 52:54:00:00:01:03)
	qemu db reconnect begin - < <(domain db br0 52:54:00:00:01:03)
	qemu '../x' prepare begin - < <(domain x br0 52:54:00:00:01:07)
	qemu 'web two;id' prepare begin - < <(domain x br0 52:54:00:00:01:07)
	check "a name that is none is told" grep -q 'web two;id' "$T/qemu.err"
	is "nobody new is in the plan" "$(field 'len(d)' vm list)" 6
	outcome "libvirt has only web-1 and db left: prune" 0 prune web-1 db ''
	is "the others are deleted" "$(field 'sorted(v["name"] for v in d)' vm list)" \
		'["db", "vm-001", "vm-002", "web-1"]'
	ends web-2
	for spoil in 'if' 'exit 3' 'EIP_VM=/nowhere' "EIPCTL=/nowhere"; do
		cp "$T/hooks.conf" "$T/hooks.good"
		echo "$spoil" >>"$T/hooks.conf"
		qemu web-5 prepare begin - < <(domain web-5 br0 52:54:00:00:01:08)
		qemu web-1 release end - </dev/null
		mv "$T/hooks.good" "$T/hooks.conf"
	done
	daemon_end TERM
	begins web-1 "$(domain web-1 br0 52:54:00:00:01:01)"
	check "no daemon: a warning" grep -q 'no daemon at' "$T/qemu.err"
	ends web-1
	daemon_up
	is "it still has its address" "$(public web-1)" "[[\"$EIP1\"]]"
	kill -STOP "$(daemon_pid)"
	begun=$SECONDS
	export limit=1
	begins web-1 "$(domain web-1 br0 52:54:00:00:01:01)"
	unset limit
	took=$((SECONDS - begun))
	check "a daemon that hangs holds nothing up for long ($took s)" test "$took" -le 15
	kill -CONT "$(daemon_pid)"
	outcome "deleted" 0 eip delete web-1
	is "its address is free" "$(field '[a["address"] for a in d if a["vm"]]' ip list)" "[]"
	eip delete db </dev/null

	# ---- Xen
	mkdir -p "$T/store" "$T/bin"
	# shellcheck disable=SC2016 # the stand-ins expand
	printf '#!/bin/sh\ncat "%s/$(echo "$1" | tr / _)"\n' "$T/store" >"$T/bin/xenstore-read"
	# shellcheck disable=SC2016 # the stand-ins expand
	printf '#!/bin/sh\necho "$@ $vif $XENBUS_PATH $script" >>%s\nexit "$(cat %s)"\n' "$T/bridged" "$T/bridge.status" >"$T/bin/vif-bridge"
	chmod 755 "$T/bin/"*
	echo 0 >"$T/bridge.status"
	printf '%s\n' BRIDGE=br0 "VIF_SCRIPT=$T/bin/vif-bridge" >>"$T/hooks.conf"
	# domu DOMID NAME BRIDGE MAC: what libxl writes to xenstore
	domu() {
		echo "$2" >"$T/store/_local_domain_$1_name"
		echo "$3" >"$T/store/_local_domain_0_backend_vif_$1_0_bridge"
		echo "$4" >"$T/store/_local_domain_0_backend_vif_$1_0_mac"
	}
	domu_gone() { rm -f "$T/store/_local_domain_$1_name" "$T/store/_local_domain_0_backend_vif_$1_0_"*; }
	# vif STATUS DOMID ACTION [TYPE]: as libxl calls it
	vif() {
		: >"$T/bridged"
		# shellcheck disable=SC2086 # an interpreter of two words
		said=$(PATH=$T/bin:$PATH EIPD_HOOKS_CONF=$T/hooks.conf EIPD_HOOKS_RUN=$T/xen \
			script=/etc/xen/scripts/vif-eipd XENBUS_TYPE=vif XENBUS_BASE_PATH=backend \
			XENBUS_PATH=/local/domain/0/backend/vif/$2/0 vif=vif$2.0 \
			netdev=vif$2.0 type_if=${4-vif} \
			$shell "$ROOT/scripts/hooks/xen-vif" "$3" ${4:+"type_if=$4"} 2>"$T/vif.err" </dev/null)
		is "Xen, $shell: vif$2.0 $3 ${4-}: status of vif-bridge, no output" "$? $said" "$1 "
		is "which was called with all that it needs" "$(cat "$T/bridged")" \
			"$3 ${4:+type_if=$4 }vif$2.0 /local/domain/0/backend/vif/$2/0 /etc/xen/scripts/vif-eipd"
	}
	domu 3 web-1 br0 00:16:3e:00:00:01
	vif 0 3 online
	like "it is in the plan with its MAC" "$(planned web-1)" '^\[\["00:16:3e:00:00:01", "192.168.6.'
	is "it has an address" "$(public web-1)" "[[\"$EIP1\"]]"
	is "and its vif is known" "$(port_of web-1)" '"vif3.0"'
	vif 0 3 add tap
	is "its tap changes nothing" "$(public web-1)" "[[\"$EIP1\"]]"
	domu 4 web-2--incoming br0 00:16:3e:00:00:02
	vif 0 4 online
	is "one that comes by migration has an address under its own name" "$(public web-2)" "[[\"$EIP2\"]]"
	domu 5 web-3 xenbr9 00:16:3e:00:00:03
	vif 0 5 online
	is "one on another bridge is not in the plan" "$(planned web-3)" "$GONE"
	domu 6 other br0 00:16:3e:00:00:04
	vif 0 6 online
	is "one that is not ours is not either" "$(planned other)" "$GONE"
	echo 3 >"$T/bridge.status"
	domu 7 web-5 br0 00:16:3e:00:00:05
	vif 3 7 online
	is "nor one whose vif does not come up" "$(planned web-5)" "$GONE"
	echo 0 >"$T/bridge.status"
	for id in 3 4 5 6; do
		domu_gone $id
		vif 0 $id offline
	done
	vif 0 3 offline
	is "xenstore has forgotten it: it keeps its address" "$(public web-1)" "[[\"$EIP1\"]]"
	is "one that is to give it back does" "$(public web-2)" "$NONE"
	domu 8 web-1 br0 00:16:3e:00:00:01
	vif 0 8 online
	is "it starts with another number and has its address" "$(public web-1)" "[[\"$EIP1\"]]"
	echo 'exit 7; (' >>"$T/hooks.conf"
	said=$(PATH=$T/bin:$PATH EIPD_HOOKS_CONF=$T/hooks.conf EIPD_HOOKS_RUN=$T/xen script=x \
		XENBUS_PATH=backend/vif/8/0 vif=vif8.0 $shell "$ROOT/scripts/hooks/xen-vif" offline 2>&1)
	check "a spoiled configuration is told" test -n "$said"
	sed -i '$d' "$T/hooks.conf"
	daemon_end TERM
	vif 0 8 online
	check "no daemon: a warning" grep -q 'no daemon at' "$T/vif.err"
	domu_gone 8
	vif 0 8 offline
	daemon_up
	outcome "deleted" 0 eip delete web-1
	outcome "deleted" 0 eip delete web-2
	is "all is as at the beginning" "$(field '[v["name"] for v in d]' vm list) $(field \
		'[a["address"] for a in d if a["vm"]]' ip list)" '["vm-001", "vm-002"] []'
	ctl forward del 20.251.48.106:80/tcp >/dev/null 2>&1
done
done_testing
