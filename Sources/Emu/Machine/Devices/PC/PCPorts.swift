import Engine
import X86

/// Two interrupt controllers that are there to be masked: what is written is kept, and no interrupt
/// goes through them.
///
/// - SeeAlso: Intel 8259A data sheet, "Initialization Command Words" and "Operation Command Words".
struct PIC8259 {
  private var mask: UInt8 = 0xff
  private var base: UInt8 = 0
  /// Initialization words to come.
  private var expected: UInt8 = 0
  private var wantsFourth = false

  /// There is never a request, nor one in service.
  func read(_ port: UInt16) -> UInt8 { port & 1 == 1 ? mask : 0 }

  mutating func write(_ port: UInt16, _ value: UInt8) {
    if port & 1 == 0 {
      guard value & 0x10 != 0 else { return }
      expected = 2
      wantsFourth = value & 1 != 0
      mask = 0
      return
    }
    switch expected {
    case 2:
      base = value & 0xf8
      expected = 3
    case 3: expected = wantsFourth ? 4 : 0
    case 4: expected = 0
    default: mask = value
    }
  }

  mutating func archive(_ archive: Archive) {
    archive("mask", &mask)
    archive("base", &base)
    archive("expected", &expected)
    archive("wantsFourth", &wantsFourth)
  }
}

/// The clock and memory of a PC that a battery feeds, at 0x70 and 0x71: time in BCD of 24 hours, memory
/// size.
///
/// - SeeAlso: Motorola MC146818A data sheet, "Address Map"; QEMU hw/rtc/mc146818rtc.c, hw/i386/pc.c.
struct CMOS {
  private var selected: UInt8 = 0
  private var bytes = [UInt8](repeating: 0, count: 128)

  init(memory: UInt64, processors: Int) {
    bytes[0x0a] = 0x26
    bytes[0x0b] = 0x02
    bytes[0x0d] = 0x80
    // KiB below 1 MiB, KiB above it up to 64 MiB, then 64 KiB above 16 MiB.
    set(0x15, 640)
    let extended = min(max(memory, 1 << 20) - (1 << 20), 63 << 20) >> 10
    set(0x17, extended)
    set(0x30, extended)
    // Processors beside the first.
    bytes[0x5f] = UInt8(clamping: processors - 1)
    set(0x34, min(memory < 16 << 20 ? 0 : (memory - (16 << 20)) >> 16, 65535))
  }

  private mutating func set(_ at: Int, _ value: UInt64) {
    bytes[at] = UInt8(truncatingIfNeeded: value)
    bytes[at + 1] = UInt8(truncatingIfNeeded: value >> 8)
  }

  /// What a port reads `now` seconds after the start of 1970.
  func read(_ port: UInt16, now: UInt64) -> UInt8 {
    guard port == 0x71 else { return 0xff }
    let days = now / 86400
    let (year, month, day) = Self.date(days)
    switch selected {
    case 0: return bcd(now % 60)
    case 2: return bcd(now / 60 % 60)
    case 4: return bcd(now / 3600 % 24)
    case 6: return bcd((days + 4) % 7 + 1)
    case 7: return bcd(day)
    case 8: return bcd(month)
    case 9: return bcd(year % 100)
    case 0x32: return bcd(year / 100)
    default: return bytes[Int(selected)]
    }
  }

  private func bcd(_ value: UInt64) -> UInt8 {
    bytes[0x0b] & 4 != 0
      ? UInt8(truncatingIfNeeded: value) : UInt8(truncatingIfNeeded: value / 10 << 4 | value % 10)
  }

  /// - SeeAlso: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
  private static func date(_ days: UInt64) -> (year: UInt64, month: UInt64, day: UInt64) {
    let shifted = days &+ 719_468
    let era = shifted / 146_097
    let ofEra = shifted % 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let part = (5 * ofYear + 2) / 153
    let month = part < 10 ? part + 3 : part - 9
    return (
      yearOfEra &+ era &* 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * part + 2) / 5 + 1
    )
  }

  mutating func write(_ port: UInt16, _ value: UInt8) {
    if port == 0x70 {
      selected = value & 0x7f
    } else if ![0x0c, 0x0d].contains(selected) {
      bytes[Int(selected)] = value
    }
  }

  mutating func archive(_ archive: Archive) {
    archive("selected", &selected)
    archive("bytes", &bytes)
    if archive.isReading, bytes.count != 128 || selected > 127 {
      self = CMOS(memory: 0, processors: 1)
      archive.fail("a clock without 128 bytes")
    }
  }
}

/// What firmware is told, at 0x510 and 0x511: its signature, the memory size, the number of processors.
///
/// - SeeAlso: QEMU, "QEMU Firmware Configuration (fw_cfg) Device".
struct FirmwareConfiguration {
  private var selected: UInt16 = 0
  private var offset: UInt64 = 0

  mutating func select(_ item: UInt16) {
    selected = item
    offset = 0
  }

  mutating func next(memory: UInt64, processors: Int) -> UInt8 {
    let item: [UInt8] =
      switch selected {
      case 0: Array("QEMU".utf8)
      // Without DMA.
      case 1: [1, 0, 0, 0]
      case 3: (0..<8).map { UInt8(truncatingIfNeeded: memory >> ($0 * 8)) }
      // Processors that there are, and that there can be.
      case 5, 0xf:
        [UInt8(truncatingIfNeeded: processors), UInt8(truncatingIfNeeded: processors >> 8)]
      // No files.
      case 0x19: [0, 0, 0, 0]
      default: []
      }
    defer { offset &+= 1 }
    return offset < UInt64(item.count) ? item[Int(offset)] : 0
  }

  mutating func archive(_ archive: Archive) {
    archive("selected", &selected)
    archive("offset", &offset)
  }
}
