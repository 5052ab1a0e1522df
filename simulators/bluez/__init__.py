"""A simulated BlueZ on a private D-Bus: run the real gateway, or any BlueZ client, against wearables without a radio.

    async def test_a_drop(monkeypatch):
        strap = PeripheralSpec(address="C0:00:00:00:00:01", kind="strap")
        async with simulated_bluez([strap], adapters=1) as bluez:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)     # before the first use of bleak
            device = await BleakScanner.find_device_by_address(strap.address)
            ...
            await bluez.until(lambda now: now.peripheral(strap.address).listening)   # wait for a state, never sleep
            await bluez.drop(strap.address)                                  # the radio link breaks
            await bluez.power("hci0", on=False)
            await bluez.kill_daemon()                                        # SIGKILL; the bus goes on
            await bluez.start_daemon()
            await bluez.restart_bus()                                        # dbus-daemon and bluetoothd
            assert received == [d.value for d in bluez.deliveries(strap.address)]

- A fresh bus (`simulated_bluez`) and a fresh event loop for each test: bleak keeps one manager per loop, and its state
  leaks between tests. `own_process=False` runs bluetoothd in the test's own loop: 30 ms instead of half a second.
- `deliveries()` is the ledger: every notification that the radio delivered, with a sequence number per characteristic,
  over all kills. `push(address, uuid, value)` notifies a value at once and says to how many clients;
  `PeripheralSpec(silent=True)` sends nothing else; `options={"numbered": True}` gives each reading of a strap a number.
- Faults of a wearable or of an adapter are values of `simulators.bluez.faults`, given in the `PeripheralSpec` or set
  while it runs: `set_faults(address, CONNECT_HANGS)`, `set_adapter_faults("hci0", SCANNER_DEAD)`.
- Kinds of wearables: `simulators.bluez.wearables.KINDS`. `patient=` is a scenario's patient with events.
- `timing=REAL` takes the time that a radio takes; the default is fast. `Timing(second_s=0.1)` lets bodies live ten
  times as fast.
- For people: `wardlight simulate ble --wearables 20`.
"""

from simulators.bluez.faults import AdapterFaults, Failure, Faults
from simulators.bluez.peripheral import PeripheralSpec
from simulators.bluez.simulation import SimulatedBluez, simulated_bluez
from simulators.bluez.timing import FAST, REAL, Timing

__all__ = [
    "FAST",
    "REAL",
    "AdapterFaults",
    "Failure",
    "Faults",
    "PeripheralSpec",
    "SimulatedBluez",
    "Timing",
    "simulated_bluez",
]
