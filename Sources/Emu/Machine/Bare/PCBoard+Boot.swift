import Engine
import X86

extension PCBoard {
  /// What the boot protocols tell an image lies here, the command line last.
  static let information: Range<UInt64> = 0x7000..<0x7900
  private static let commandLine: UInt64 = 0x7200
  /// Bytes that a command line may have.
  static let mostBootargs = Int(information.upperBound - commandLine) - 1

  /// Starts the first hart in 32-bit protected mode, as a multiboot or PVH loader does; the others
  /// wait for messages.
  func enter(_ image: BareImage, _ mode: BareImage.EntryMode) {
    guard let boot = image.boot, let isa = isas.first, let hart = machine.harts.first else {
      return
    }
    for (other, waits) in zip(isas, machine.harts).dropFirst() {
      other.enterWaiting(waits)
      machine.waiting[waits.index] = true
    }
    let ram = machine.ram
    let at = Self.information.lowerBound
    let lineAt = Self.commandLine
    ram.write(
      lineAt, Array((machine.configuration.bootargs ?? "").utf8.prefix(Self.mostBootargs)) + [0])
    // Memory below 640 KiB and from 1 MiB on.
    let areas: [(UInt64, UInt64)] = [(0, 0xa_0000), (1 << 20, ram.size - (1 << 20))]
    func put(_ offset: UInt64, _ value: UInt64, _ size: Int = 4) {
      ram.write(at + offset, (0..<size).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) })
    }
    isa.enterProtected(hart, pc: image.entry)
    hart.x[Registers.slot(3)] = at
    switch boot {
    case .multiboot:
      // Memory, command line, map of memory, the loader's name.
      put(0, 1 | 1 << 2 | 1 << 6 | 1 << 9)
      put(4, 640)
      put(8, (ram.size - (1 << 20)) >> 10)
      put(16, lineAt)
      put(44, UInt64(areas.count) * 24)
      put(48, at + 0x100)
      put(64, at + 0x180)
      ram.write(at + 0x180, Array("emu\0".utf8))
      for (index, area) in areas.enumerated() {
        let place = 0x100 + UInt64(index) * 24
        put(place, 20)
        put(place + 4, area.0, 8)
        put(place + 12, area.1, 8)
        put(place + 20, 1)
      }
      hart.x[Registers.slot(0)] = 0x2bad_b002
    case .pvh:
      put(0, 0x336e_c578)
      put(4, 1)
      put(24, lineAt, 8)
      put(40, at + 0x100, 8)
      put(48, UInt64(areas.count))
      for (index, area) in areas.enumerated() {
        let place = 0x100 + UInt64(index) * 24
        put(place, area.0, 8)
        put(place + 8, area.1, 8)
        put(place + 16, 1)
      }
    }
  }
}
