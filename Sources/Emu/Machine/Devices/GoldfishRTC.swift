import Engine

/// Goldfish's real-time clock: nanoseconds since the Epoch, with an alarm.
///
/// | Offset | Register | Read | Write |
/// |---|---|---|---|
/// | 0x00 | TIME_LOW | low word; the high word is latched | sets the low word of the clock |
/// | 0x04 | TIME_HIGH | the latched high word | sets the high word of the clock |
/// | 0x08 | ALARM_LOW | low word of the alarm | sets it and arms the alarm |
/// | 0x0c | ALARM_HIGH | high word of the alarm | sets it |
/// | 0x10 | IRQ_ENABLED | bit 0 | bit 0 |
/// | 0x14 | CLEAR_ALARM | 0 | disarms the alarm |
/// | 0x18 | ALARM_STATUS | 1 while armed | |
/// | 0x1c | CLEAR_INTERRUPT | 0 | takes the interrupt back |
///
/// Registers answer aligned accesses of 4 bytes; everything else reads zero and ignores writes.
/// An alarm in the past rings at once. Setting the clock, or ALARM_HIGH alone, does not move an
/// armed alarm.
///
/// - SeeAlso: "Goldfish virtual hardware" (Android, docs/GOLDFISH-VIRTUAL-HARDWARE.TXT), "Goldfish
///   real-time clock"; QEMU hw/rtc/goldfish_rtc.c; Linux drivers/rtc/rtc-goldfish.c.
public final class GoldfishRTC: Device {
  private unowned let clock: any BoardClock
  private let wire: InterruptWire
  /// Nanoseconds since the Epoch minus ticks.
  private var offset: UInt64
  private var latchedHigh: UInt64 = 0
  private var alarm: UInt64 = 0
  private var armed = false
  /// The tick at which the armed alarm rings, if it ever does.
  private var rings: UInt64?
  private var pending = false
  private var enabled = false

  /// A clock that reads `start` nanoseconds since the Epoch at tick zero.
  ///
  /// `clock` must outlive it.
  public init(clock: any BoardClock, wire: InterruptWire, start: UInt64) {
    self.clock = clock
    self.wire = wire
    offset = start
  }

  /// Nanoseconds since the Epoch.
  public var time: UInt64 { clock.ticks &+ offset }

  /// The machine's tick at which an armed alarm rings.
  ///
  /// `nil` where none is armed or never will.
  public var nextDeadline: UInt64? { rings }

  /// Rings an alarm that is due.
  ///
  /// The machine calls it when ``nextDeadline`` is reached.
  public func update() {
    guard let due = rings, due <= clock.ticks else { return }
    ring()
  }

  private func ring() {
    rings = nil
    armed = false
    pending = true
    wire.set(enabled)
  }

  private func arm() {
    let now = time
    if alarm <= now {
      ring()
      return
    }
    armed = true
    let (due, overflow) = clock.ticks.addingReportingOverflow(alarm &- now)
    rings = overflow ? nil : due
  }

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 {
    guard size == 4 else { return 0 }
    switch offset {
    case 0x00:
      latchedHigh = time >> 32
      return time & 0xffff_ffff
    case 0x04: return latchedHigh
    case 0x08: return alarm & 0xffff_ffff
    case 0x0c: return alarm >> 32
    case 0x10: return enabled ? 1 : 0
    case 0x18:
      update()
      return armed ? 1 : 0
    default: return 0
    }
  }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    guard size == 4 else { return }
    let word = value & 0xffff_ffff
    switch offset {
    case 0x00:
      self.offset = self.offset &+ (time & ~0xffff_ffff | word) &- time
    case 0x04:
      self.offset = self.offset &+ (time & 0xffff_ffff | word << 32) &- time
    case 0x08:
      alarm = alarm & ~0xffff_ffff | word
      arm()
    case 0x0c:
      alarm = alarm & 0xffff_ffff | word << 32
    case 0x10:
      enabled = word & 1 != 0
      wire.set(enabled && pending)
    case 0x14:
      armed = false
      rings = nil
    case 0x1c:
      pending = false
      wire.set(false)
    default: break
    }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("offset", &offset)
    archive("latchedHigh", &latchedHigh)
    archive("alarm", &alarm)
    archive("armed", &armed)
    archive("rings", &rings)
    archive("pending", &pending)
    archive("enabled", &enabled)
    archive.transient(["clock", "wire"])
  }
}
