import Engine
import X86

/// The I/O APIC of a PC: 24 pins, each with an entry that says whose interrupt it is.
///
/// | Offset | Register |
/// |---|---|
/// | 0x00 | which register 0x10 is |
/// | 0x10 | 0 the number; 1 version and highest entry; 2 arbitration; 0x10 + 2 n and the next: entry n |
/// | 0x40 | a vector whose interrupt has ended |
///
/// - SeeAlso: Intel 82093AA data sheet, "I/O Redirection Table Registers"; QEMU hw/intc/ioapic.c.
final class IOAPIC: Device, InterruptController {
  private static let pins = 24
  private static let masked: UInt64 = 1 << 16, level: UInt64 = 1 << 15, waits: UInt64 = 1 << 14

  /// Sends a message to processors.
  var onMessage: ((APICMessage) -> Void)?
  private var selected: UInt8 = 0
  private var number: UInt32 = 0
  private var entries = [UInt64](repeating: masked, count: pins)
  private var levels: UInt32 = 0

  func setLevel(_ source: Int, _ level: Bool) {
    // The interval timer is on pin 2.
    let pin = source == 0 ? 2 : source
    guard pin < Self.pins else { return }
    let rises = level && levels >> UInt32(pin) & 1 == 0
    if level { levels |= 1 << UInt32(pin) } else { levels &= ~(1 << UInt32(pin)) }
    let isLevel = entries[pin] & Self.level != 0
    if isLevel ? level : rises { deliver(pin) }
  }

  private func deliver(_ pin: Int) {
    let entry = entries[pin]
    guard entry & Self.masked == 0 else { return }
    if entry & Self.level != 0 {
      guard entry & Self.waits == 0 else { return }
      entries[pin] |= Self.waits
    }
    onMessage?(
      APICMessage(
        vector: entry & 0xff, mode: entry >> 8 & 7, destination: entry >> 56,
        isLogical: entry >> 11 & 1 == 1))
  }

  /// The interrupt of a vector has ended: what is still high comes again.
  func end(_ vector: UInt64) {
    for pin in 0..<Self.pins
    where entries[pin] & 0xff == vector && entries[pin] & Self.level != 0 {
      entries[pin] &= ~Self.waits
      if levels >> UInt32(pin) & 1 == 1 { deliver(pin) }
    }
  }

  func read(_ offset: UInt64, size: Int) -> UInt64 {
    switch offset {
    case 0: return UInt64(selected)
    case 0x10: break
    default: return 0
    }
    switch selected {
    case 0, 2: return UInt64(number)
    case 1: return UInt64(Self.pins - 1) << 16 | 0x20
    case 0x10..<0x10 + UInt8(2 * Self.pins):
      return entries[Int(selected - 0x10) / 2] >> (selected & 1 == 0 ? 0 : 32) & 0xffff_ffff
    default: return 0
    }
  }

  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    switch offset {
    case 0: selected = UInt8(truncatingIfNeeded: value)
    case 0x40: end(value & 0xff)
    case 0x10:
      if selected == 0 { number = UInt32(truncatingIfNeeded: value) & 0x0f00_0000 }
      guard (0x10..<0x10 + UInt8(2 * Self.pins)).contains(selected) else { return }
      let pin = Int(selected - 0x10) / 2
      let old = entries[pin]
      let low = value & 0xffff_ffff
      if selected & 1 == 1 {
        entries[pin] = old & 0xffff_ffff | low << 32
      } else {
        // Two bits are the device's own.
        entries[pin] = old & ~0xffff_ffff | low & 0x1_afff | old & Self.waits
        if entries[pin] & Self.level == 0 { entries[pin] &= ~Self.waits }
      }
      if entries[pin] & Self.level != 0, levels >> UInt32(pin) & 1 == 1 { deliver(pin) }
    default: break
    }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("selected", &selected)
    archive("number", &number)
    archive("entries", &entries)
    archive("levels", &levels)
    archive.transient(["onMessage"])
    if archive.isReading, entries.count != Self.pins {
      entries = Array(repeating: Self.masked, count: Self.pins)
      archive.fail("an I/O APIC without 24 pins")
    }
  }
}
