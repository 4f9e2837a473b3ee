"""The keeper that stands by, and how it follows the one that reigns, with real acceptors and leaders."""

from leader_rig import BANKS, KEY, Rig, formed

from trivet.quorum.leader_commands import Enthroned, Send
from trivet.quorum.lease import LEASE_S, wait_out_s
from trivet.quorum.membership import KEEPER, STANDBY, Config, decode_config, encode_config
from trivet.quorum.standby import Standby
from trivet.wire.entries import RecordOp

A, B, C = BANKS


class Pair:
    """A reigning keeper and one that stands by, over the same banks; time passes for both."""

    def __init__(self) -> None:
        self.rig = formed()
        self.rig.pass_time(0.1)
        self.standby = Standby(KEY, BANKS, STANDBY)
        self.deaf: set[int] = set()
        self.lives = True
        for bank in BANKS:
            self.send(self.standby.on_connected(bank, self.rig.now))

    def send(self, sends: list[Send]) -> None:
        for one in sends:
            if one.bank not in self.deaf:
                reply, body = self.rig.banks[one.bank].handle(one.message, one.body)
                self.send(self.standby.on_reply(one, reply, self.rig.now, body))

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            if self.lives:
                self.rig.pass_time(0.05)
            else:
                self.rig.now += 0.05
            self.send(self.standby.on_tick(self.rig.now))

    def put(self, *, sync: bool = True) -> int:
        entry, commands = self.rig.leader.append([RecordOp(b"i/x", 0, b"value")], self.rig.now, sync=sync)
        self.rig.do(commands)
        return entry.slot

    def register(self) -> None:
        self.rig.do(self.rig.leader.succession.register(STANDBY, self.rig.now))
        self.pass_time(0.5)

    @property
    def turn(self) -> str:
        return self.standby.turn(self.rig.now)

    def take_over(self) -> Rig:
        """Return the reign of the one that stood by."""
        silent = self.standby.silence(self.rig.now)
        number = self.rig.epoch.number + 1
        after = Rig(
            fresh_volume=False, epoch=number, banks=self.rig.banks, high_water=self.standby.slot,
            now=self.rig.now, name=STANDBY, silent=silent,
        )  # fmt: skip
        after.connect()
        return after


def test_standby_follows_what_two_banks_have_synced() -> None:
    pair = Pair()
    pair.pass_time(0.5)
    slot = pair.put()
    pair.pass_time(0.5)
    reign = pair.rig.leader.reign
    assert (pair.standby.slot, pair.standby.slot_hash) == (slot, reign.log.hash_at(slot))
    assert pair.standby.epoch == reign.epoch
    assert pair.standby.config == reign.log.config


def test_what_one_bank_has_is_not_followed_as_durable() -> None:
    pair = Pair()
    pair.pass_time(0.5)
    before = pair.standby.slot
    pair.rig.up = {C}
    pair.put()
    pair.pass_time(0.5)
    assert pair.standby.head > before == pair.standby.slot


def test_log_read_anew_after_a_trim_ends_where_it_ended() -> None:
    pair = Pair()
    pair.register()
    for _ in range(3):
        pair.put()
    pair.pass_time(0.5)
    leader = pair.rig.leader
    pair.rig.do(leader.anchor(bytes(4096), pair.rig.now)[1])
    late = Standby(KEY, BANKS, STANDBY)
    pair.standby, known = late, pair.standby
    for bank in BANKS:
        pair.send(late.on_connected(bank, pair.rig.now))
    pair.pass_time(0.5)
    assert (late.slot, late.slot_hash, late.config) == (leader.reign.log.head, late.slot_hash, known.config)


def test_nobody_takes_over_without_being_registered() -> None:
    pair = Pair()
    pair.pass_time(0.5)
    pair.lives = False
    pair.pass_time(30)
    assert pair.turn == "wait"


def test_silence_of_two_banks_is_the_standbys_turn_and_a_busy_bank_is_not() -> None:
    pair = Pair()
    pair.register()
    pair.pass_time(10)
    assert pair.turn == "wait"
    pair.rig.up = {C}
    pair.pass_time(wait_out_s() - 0.5)
    assert pair.turn == "wait"
    pair.pass_time(2.0)
    assert pair.turn == "reign"


def test_lost_connection_begins_the_silence_anew() -> None:
    pair = Pair()
    pair.register()
    pair.lives = False
    pair.pass_time(wait_out_s() + 0.5)
    assert pair.turn == "reign"
    for bank in (A, B):
        pair.send(pair.standby.on_connected(bank, pair.rig.now))
    assert pair.turn == "wait"
    pair.pass_time(wait_out_s() + 0.5)
    assert pair.turn == "reign"


def test_who_takes_over_after_silence_answers_at_once_and_is_named() -> None:
    pair = Pair()
    pair.register()
    pair.lives = False
    pair.pass_time(wait_out_s() + 0.5)
    after = pair.take_over()
    after.pass_time(0.1)
    assert after.of(Enthroned)
    config = after.leader.reign.log.config
    assert config is not None
    assert (config.keeper, config.standby) == (STANDBY, KEEPER)
    assert after.leader.succession.may_answer(after.now)


def test_who_takes_over_without_silence_waits_the_lease_out() -> None:
    pair = Pair()
    pair.register()
    after = pair.take_over()
    after.pass_time(wait_out_s() - 0.2)
    assert after.leader.is_serving
    assert not after.of(Enthroned)
    config = after.leader.reign.log.config
    assert config is not None
    assert config.keeper == KEEPER
    after.pass_time(0.4)
    assert after.of(Enthroned)


def test_bank_that_heard_the_old_keeper_up_to_the_promise_is_not_silent() -> None:
    pair = Pair()
    pair.register()
    pair.lives = False
    pair.pass_time(wait_out_s() + 0.5)
    silent = pair.standby.silence(pair.rig.now)
    pair.rig.pass_time(1.2)  # it was only slow
    pair.standby.silence = lambda now: silent  # type: ignore[method-assign]
    after = pair.take_over()
    after.pass_time(1.0)
    assert after.leader.is_serving
    assert not after.of(Enthroned)


def test_keeper_that_steps_down_is_followed_at_once() -> None:
    pair = Pair()
    pair.register()
    leader = pair.rig.leader
    pair.rig.do(leader.succession.step_down(pair.rig.now))
    assert not leader.succession.may_answer(pair.rig.now)
    pair.pass_time(0.3)
    assert pair.turn == "reign"
    after = pair.take_over()
    after.pass_time(0.1)
    assert after.of(Enthroned)


def test_keeper_with_a_standby_answers_only_under_its_lease() -> None:
    pair = Pair()
    succession = pair.rig.leader.succession
    pair.rig.up = {C}
    pair.pass_time(LEASE_S)
    assert succession.may_answer(pair.rig.now)
    pair.rig.up = set(BANKS)
    pair.register()
    assert succession.may_answer(pair.rig.now)
    pair.rig.up = {C}
    pair.pass_time(LEASE_S)
    assert not succession.may_answer(pair.rig.now)


def test_registering_twice_writes_once() -> None:
    pair = Pair()
    pair.register()
    head = pair.rig.leader.reign.log.head
    pair.register()
    assert pair.rig.leader.reign.log.head == head


def test_config_of_before_there_were_two_keepers_is_read() -> None:
    old = b"\x92\x80\xa0"  # ({}, "")
    assert decode_config(old) == Config({})
    two = Config({}, STANDBY).led_by(STANDBY)
    assert decode_config(encode_config(two)) == two == Config({}, KEEPER, STANDBY)
