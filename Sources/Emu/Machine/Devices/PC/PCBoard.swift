import Engine
import X86

/// Where the devices of a PC lie in memory.
enum PCMap {
  static let ioapic = BoardMap.Range(base: 0xfec0_0000, size: 0x1000)
  static let localAPIC = BoardMap.Range(base: 0xfee0_0000, size: 0x1000)
  /// RAM ends here or below: what follows is for devices.
  static let ramLimit: UInt64 = 3 << 30
  static let serialSource = 4
}

/// What of a PC a bare image needs: serial line, timers, interrupt controllers, clock, the size of the
/// memory, and a way to end.
///
/// | Ports | Device |
/// |---|---|
/// | 0x20, 0x21, 0xa0, 0xa1 | 8259 interrupt controllers, to be masked |
/// | 0x40 to 0x43, 0x61 | 8254 interval timer; interrupt on pin 2 of the I/O APIC |
/// | 0x64, 0xcf9 | a reset: 0xfe, or bit 2 |
/// | 0x70, 0x71 | clock and memory size |
/// | 0x3f8 to 0x3ff | 16550 UART; pin 4 |
/// | 0xf4 | ends the machine with status (value << 1) \| 1 |
/// | 0x510, 0x511 | fw_cfg |
///
/// - SeeAlso: QEMU, "i440fx PC (pc-i440fx, pc)"; hw/misc/debugexit.c.
final class PCBoard: PortBus {
  private unowned let machine: BareMachine
  let ioapic = IOAPIC()
  let uart: UART16550
  let pit: PIT8254
  private var pics = (PIC8259(), PIC8259())
  private var cmos: CMOS
  private var firmware = FirmwareConfiguration()
  private let startOfRun: UInt64

  init(
    _ machine: BareMachine, startOfRun: UInt64, sink: any ConsoleSink, source: any ConsoleSource
  ) {
    self.machine = machine
    self.startOfRun = startOfRun
    uart = UART16550(
      wire: InterruptWire(ioapic, source: PCMap.serialSource), sink: sink, source: source)
    pit = PIT8254(clock: machine, wire: InterruptWire(ioapic, source: 0))
    cmos = CMOS(memory: machine.ram.size, processors: machine.harts.count)
  }

  func read(port: UInt16, size: Int) -> UInt32 {
    if port == 0x510, size == 2 { return 0 }
    guard size > 1 else { return UInt32(readByte(port)) }
    // Devices of one byte see each byte of a wider access.
    return (0..<size).reduce(0) {
      $0 | UInt32(readByte(port &+ UInt16($1))) << UInt32($1 * 8)
    }
  }

  private func readByte(_ port: UInt16) -> UInt8 {
    switch port {
    case 0x20, 0x21: return pics.0.read(port)
    case 0xa0, 0xa1: return pics.1.read(port)
    case 0x40...0x43, 0x61: return pit.read(port)
    case 0x64: return 0
    case 0x70, 0x71:
      return cmos.read(port, now: (startOfRun &+ machine.ticks) / 1_000_000_000)
    case 0x3f8...0x3ff:
      return UInt8(truncatingIfNeeded: uart.read(UInt64(port - 0x3f8), size: 1))
    case 0x511:
      return firmware.next(memory: machine.ram.size, processors: machine.harts.count)
    default: return 0xff
    }
  }

  func write(port: UInt16, size: Int, _ value: UInt32) {
    switch port {
    case 0x510 where size == 2: firmware.select(UInt16(truncatingIfNeeded: value))
    case 0xf4:
      machine.end(.finished(status: Int32((value << 1 | 1) & 0xff)))
    default:
      for index in 0..<size {
        writeByte(port &+ UInt16(index), UInt8(truncatingIfNeeded: value >> UInt32(index * 8)))
      }
    }
  }

  private func writeByte(_ port: UInt16, _ value: UInt8) {
    switch port {
    case 0x20, 0x21: pics.0.write(port, value)
    case 0xa0, 0xa1: pics.1.write(port, value)
    case 0x40...0x43, 0x61:
      pit.write(port, value)
      machine.currentHart?.requestStop()
    case 0x64: if value == 0xfe { machine.end(.reset) }
    case 0xcf9: if value & 4 != 0 { machine.end(.reset) }
    case 0x70, 0x71: cmos.write(port, value)
    case 0x3f8...0x3ff: uart.write(UInt64(port - 0x3f8), size: 1, UInt64(value))
    default: break
    }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    ioapic.archive(archive)
    uart.archive(archive)
    pit.archive(archive)
    pics.0.archive(archive)
    pics.1.archive(archive)
    cmos.archive(archive)
    firmware.archive(archive)
  }
}

/// The registers of the local APIC in memory: those of the hart that runs.
final class LocalAPICWindow: Device {
  private unowned let machine: BareMachine

  init(_ machine: BareMachine) { self.machine = machine }

  func read(_ offset: UInt64, size: Int) -> UInt64 {
    let hart = machine.latestHart
    return machine.pcISAs[hart.index].readAPIC(at: offset, hart)
  }
  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    let hart = machine.latestHart
    machine.pcISAs[hart.index].writeAPIC(at: offset, value, hart)
  }
}
