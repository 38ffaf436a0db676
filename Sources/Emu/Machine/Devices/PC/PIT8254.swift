import Engine

/// The interval timer of a PC: channel 0 makes an interrupt, channel 2 is for calibration.
///
/// | Port | Register |
/// |---|---|
/// | 0x40, 0x42 | the counts of channels 0 and 2, by the byte that the control word says |
/// | 0x43 | control word: channel, access, mode |
/// | 0x61 | bit 0 gate of channel 2, bit 1 speaker, bit 5 output of channel 2 |
///
/// Modes 0 (one shot), 2 (rate) and 3 (square wave) count at 1,193,182 Hz of guest time.
///
/// Deviation: counts are binary; modes 1, 4 and 5 count as mode 0, and channel 1 is not there.
///
/// - SeeAlso: Intel 8254 data sheet, "Mode Definitions" and "Read-Back Command"; QEMU hw/timer/i8254.c.
final class PIT8254 {
  private static let hertz: UInt64 = 1_193_182
  private static let second: UInt64 = 1_000_000_000

  private struct Channel {
    var mode: UInt8 = 3
    var access: UInt8 = 3
    var reload: UInt64 = 65536
    /// Ticks of the machine when it began to count.
    var start: UInt64 = 0
    var counts = false
    /// The byte of a count that was written first.
    var low: UInt8?
    var readsHigh = false
    var latched: UInt16?
    var status: UInt8?
  }

  private unowned let clock: any BoardClock
  private let wire: InterruptWire
  private var channels = [Channel(), Channel(), Channel()]
  private var control: UInt8 = 0
  /// The tick of the next interrupt.
  private var next: UInt64?

  init(clock: any BoardClock, wire: InterruptWire) {
    self.clock = clock
    self.wire = wire
  }

  /// The machine's tick at which channel 0 makes its next interrupt.
  var nextDeadline: UInt64? { next }

  private static func ticks(of counts: UInt64) -> UInt64 {
    (counts &* second &+ hertz &- 1) / hertz
  }

  /// Makes the interrupts that are due.
  func update() {
    guard let due = next, clock.ticks >= due else { return }
    wire.set(true)
    wire.set(false)
    let channel = channels[0]
    if channel.mode & 2 != 0 {
      let period = max(Self.ticks(of: channel.reload), 1)
      next = due &+ (clock.ticks &- due) / period &* period &+ period
    } else {
      next = nil
    }
  }

  /// How far a channel has counted since it began.
  private func elapsed(_ channel: Channel) -> UInt64 {
    let ticks = clock.ticks &- channel.start
    let whole = ticks / Self.second
    return whole &* Self.hertz &+ ticks % Self.second &* Self.hertz / Self.second
  }

  private func count(_ channel: Channel) -> UInt16 {
    guard channel.counts else { return UInt16(truncatingIfNeeded: channel.reload) }
    let gone = elapsed(channel)
    if channel.mode & 2 != 0 {
      let by = channel.mode == 3 ? gone &* 2 : gone
      return UInt16(truncatingIfNeeded: channel.reload &- by % channel.reload)
    }
    return UInt16(truncatingIfNeeded: channel.reload &- gone)
  }

  private func output(_ channel: Channel) -> Bool {
    guard channel.counts else { return channel.mode & 2 != 0 }
    let gone = elapsed(channel)
    switch channel.mode {
    case 2: return gone % channel.reload != channel.reload &- 1
    case 3: return gone % channel.reload < (channel.reload &+ 1) / 2
    default: return gone >= channel.reload
    }
  }

  func read(_ port: UInt16) -> UInt8 {
    switch port {
    case 0x40, 0x41, 0x42: return readCount(Int(port - 0x40))
    case 0x61: return control & 3 | (output(channels[2]) ? 0x20 : 0)
    default: return 0xff
    }
  }

  private func readCount(_ number: Int) -> UInt8 {
    if let status = channels[number].status {
      channels[number].status = nil
      return status
    }
    let value = channels[number].latched ?? count(channels[number])
    let low = UInt8(truncatingIfNeeded: value)
    let high = UInt8(truncatingIfNeeded: value >> 8)
    switch channels[number].access {
    case 1:
      channels[number].latched = nil
      return low
    case 2:
      channels[number].latched = nil
      return high
    default:
      channels[number].readsHigh.toggle()
      if channels[number].readsHigh { return low }
      channels[number].latched = nil
      return high
    }
  }

  func write(_ port: UInt16, _ value: UInt8) {
    switch port {
    case 0x40, 0x41, 0x42: writeCount(Int(port - 0x40), value)
    case 0x43: writeControl(value)
    case 0x61:
      let opens = value & 1 != 0 && control & 1 == 0
      control = value & 3
      if opens { channels[2].start = clock.ticks }
    default: break
    }
  }

  private func writeControl(_ value: UInt8) {
    let number = Int(value >> 6)
    guard number < 3 else { return readBack(value) }
    if value & 0x30 == 0 {
      if channels[number].latched == nil { channels[number].latched = count(channels[number]) }
      return
    }
    var channel = Channel()
    channel.access = value >> 4 & 3
    // 6 and 7 are other names of 2 and 3.
    let mode = value >> 1 & 7
    channel.mode = mode > 5 ? mode - 4 : mode == 2 || mode == 3 ? mode : 0
    channel.reload = channels[number].reload
    channels[number] = channel
    if number == 0 { next = nil }
  }

  private func readBack(_ value: UInt8) {
    for number in 0..<3 where value >> UInt8(number + 1) & 1 == 1 {
      if value & 0x20 == 0, channels[number].latched == nil {
        channels[number].latched = count(channels[number])
      }
      if value & 0x10 == 0 {
        let channel = channels[number]
        channels[number].status =
          (output(channel) ? 0x80 : 0) | (channel.counts ? 0 : 0x40) | channel.access << 4
          | channel.mode << 1
      }
    }
  }

  private func writeCount(_ number: Int, _ value: UInt8) {
    let count: UInt64
    switch channels[number].access {
    case 1: count = UInt64(value)
    case 2: count = UInt64(value) << 8
    default:
      guard let low = channels[number].low else {
        channels[number].low = value
        return
      }
      channels[number].low = nil
      count = UInt64(low) | UInt64(value) << 8
    }
    channels[number].reload = count == 0 ? 65536 : count
    channels[number].start = clock.ticks
    channels[number].counts = true
    if number == 0 { next = clock.ticks &+ Self.ticks(of: channels[0].reload) }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("control", &control)
    archive("next", &next)
    for number in 0..<3 {
      archive("mode", &channels[number].mode)
      archive("access", &channels[number].access)
      archive("reload", &channels[number].reload)
      archive("start", &channels[number].start)
      archive("counts", &channels[number].counts)
      archive("low", &channels[number].low)
      archive("readsHigh", &channels[number].readsHigh)
      archive("latched", &channels[number].latched)
      archive("status", &channels[number].status)
      if archive.isReading, channels[number].reload == 0 {
        channels[number].reload = 65536
        archive.fail("a timer that counts to nothing")
      }
    }
    archive.transient(["clock", "wire", "channels"])
  }
}
