import Engine
import X86

extension X64: TimedISA {}

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
final class PCBoard: BareBoard, PortBus {
  static let ramBase: UInt64 = 0
  static let tlbCount = X64.tlbCount
  static func takes(memory: UInt64) -> Bool { (2 << 20...PCMap.ramLimit).contains(memory) }
  static func makeISA() -> any TimedISA { X64() }

  static func unfit(_ options: BareRun.Options) -> String? {
    if !takes(memory: options.memory) { return "its memory has 2 MiB to 3 GiB" }
    if options.bootargs?.utf8.count ?? 0 > mostBootargs {
      return "its command line has at most \(mostBootargs) bytes"
    }
    let hasVirtIO = !options.drives.isEmpty || options.virtIOConsole || options.virtIORandom
    return hasVirtIO ? "its board has no virtio" : nil
  }

  unowned let machine: BareMachine
  let isas: [X64]
  let ioapic = IOAPIC()
  let uart: UART16550
  let pit: PIT8254
  private var pics = (PIC8259(), PIC8259())
  private var cmos: CMOS
  private var firmware = FirmwareConfiguration()
  private let startOfRun: UInt64

  init(_ machine: BareMachine, startOfRun: UInt64) {
    self.machine = machine
    self.startOfRun = startOfRun
    isas = machine.harts.compactMap { $0.isa as? X64 }
    let line = ConsoleLine(machine.console)
    uart = UART16550(
      wire: InterruptWire(ioapic, source: PCMap.serialSource), sink: line, source: line)
    pit = PIT8254(clock: machine, wire: InterruptWire(ioapic, source: 0))
    cmos = CMOS(memory: machine.ram.size, processors: machine.harts.count)
    ioapic.onMessage = { [unowned self] in deliver($0, .none, from: nil) }
    for (isa, hart) in zip(isas, machine.harts) {
      isa.onMessage = { [unowned self, unowned hart] in deliver($0, $1, from: hart.index) }
      isa.onReset = { [unowned machine] in machine.end(.reset) }
      isa.onEndOfInterrupt = { [unowned ioapic] in ioapic.end($0) }
      isa.onTimerChange = { [unowned hart] in hart.requestStop() }
      isa.random = { [unowned machine] in machine.chooser?.randomBytes($0) ?? [] }
      isa.ports = self
    }
    machine.attach(ioapic, PCMap.ioapic)
    machine.attach(LocalAPICWindow(machine, isas), PCMap.localAPIC)
  }

  /// Has every processor that a message is for take it.
  private func deliver(_ message: APICMessage, _ shorthand: APICShorthand, from sender: Int?) {
    var receivers = isas.indices.filter { index in
      switch shorthand {
      case .none: isas[index].accepts(message, machine.harts[index])
      case .itself: index == sender
      case .all: true
      case .others: index != sender
      }
    }
    if message.isForOne {
      let least = receivers.min {
        isas[$0].processorPriority(machine.harts[$0])
          < isas[$1].processorPriority(machine.harts[$1])
      }
      receivers = least.map { [$0] } ?? []
    }
    for index in receivers { isas[index].receive(message, machine.harts[index]) }
    // Whoever was woken has its turn.
    if receivers.contains(where: { $0 != machine.currentHart?.index }) {
      machine.currentHart?.requestStop()
    }
  }

  // MARK: Processors

  /// No hart is ever suspended.
  func start(hart: Int, address: UInt64, opaque: UInt64) {}
  var refusal: String? { zip(isas, machine.harts).lazy.compactMap { $0.refusal($1) }.first }
  func isShutDown(_ hart: Int) -> Bool { isas[hart].isShutDown(machine.harts[hart]) }

  // MARK: Time

  func poll() { uart.poll() }
  func updateTimers() { pit.update() }
  var time: UInt64 { machine.base }
  func tick(ofTime time: UInt64) -> UInt64? { time }
  var nextDeadline: UInt64? { pit.nextDeadline }

  // MARK: Ports

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

  /// What boots an image is gone by then.
  var hasFirmware: Bool { false }
  func setFirmware(_ serves: Bool) -> Bool { !serves }

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
  private let isas: [X64]

  init(_ machine: BareMachine, _ isas: [X64]) {
    self.machine = machine
    self.isas = isas
  }

  func read(_ offset: UInt64, size: Int) -> UInt64 {
    let hart = machine.latestHart
    return isas[hart.index].readAPIC(at: offset, hart)
  }
  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    let hart = machine.latestHart
    isas[hart.index].writeAPIC(at: offset, value, hart)
  }
}
