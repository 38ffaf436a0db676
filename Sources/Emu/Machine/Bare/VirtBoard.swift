import Engine
import RISCV

extension RV64: TimedISA {}

/// The board of RISC-V images: addresses, interrupts and firmware are those of QEMU's `virt`.
///
/// - SeeAlso: QEMU, "'virt' Generic Virtual Platform (virt)".
final class VirtBoard: BareBoard {
  static let ramBase = BoardMap.ramBase
  static let tlbCount = RV64.tlbCount
  static func takes(memory: UInt64) -> Bool { true }
  static func unfit(_ options: BareRun.Options) -> String? { nil }
  static func makeISA() -> any TimedISA { RV64() }

  unowned let machine: BareMachine
  let isas: [RV64]
  private let lines: HartLines
  private let clint: CLINT
  private let plic: PLIC
  private let finisher: TestFinisher
  private let rtc: GoldfishRTC
  private let uart: UART16550
  private var transports: [VirtIOMMIO] = []
  private(set) var firmware: SBI?

  init(_ machine: BareMachine, startOfRun: UInt64) {
    self.machine = machine
    isas = machine.harts.compactMap { $0.isa as? RV64 }
    lines = HartLines(isas, machine.harts)
    clint = CLINT(clock: machine, sink: lines, hartCount: machine.harts.count)
    plic = PLIC(sink: lines, hartCount: machine.harts.count)
    finisher = TestFinisher()
    rtc = GoldfishRTC(
      clock: machine, wire: InterruptWire(plic, source: BoardMap.rtcSource), start: startOfRun)
    let line = ConsoleLine(machine.console)
    uart = UART16550(
      wire: InterruptWire(plic, source: BoardMap.uartSource), sink: line,
      source: machine.configuration.virtIOConsole ? nil : line)
    finisher.onExit = { [unowned machine] in
      switch $0 {
      case .pass: machine.end(.finished(status: 0))
      case .fail(let code): machine.end(.finished(status: Int32(truncatingIfNeeded: code & 0xff)))
      case .reset: machine.end(.reset)
      }
    }
    for index in 0..<BoardMap.virtIOCount {
      let transport = VirtIOMMIO(
        version: machine.configuration.virtIO, device: virtIODevice(index), ram: machine.ram,
        wire: InterruptWire(plic, source: BoardMap.virtIOSource(index)))
      transports.append(transport)
      machine.attach(transport, BoardMap.virtIO(index))
    }
    machine.attach(Rescheduling(clint, machine), BoardMap.clint)
    machine.attach(plic, BoardMap.plic)
    machine.attach(finisher, BoardMap.finisher)
    machine.attach(Rescheduling(rtc, machine), BoardMap.rtc)
    machine.attach(uart, BoardMap.uart)
    for (isa, hart) in zip(isas, machine.harts) {
      isa.onTimerChange = { [unowned hart] in hart.requestStop() }
    }
  }

  /// Drives from the first transport on; console and random numbers from the last one down.
  private func virtIODevice(_ index: Int) -> (any VirtIODevice)? {
    if machine.configuration.drives.indices.contains(index) {
      return VirtIOBlock(machine.configuration.drives[index])
    }
    switch BoardMap.virtIOCount - index {
    case 1 where machine.configuration.virtIOConsole:
      let line = ConsoleLine(machine.console)
      return VirtIOConsole(sink: line, source: line)
    case 2: return machine.configuration.entropy.map { VirtIOEntropy($0) }
    default: return nil
    }
  }

  // MARK: Entering an image

  /// Puts the devicetree into RAM.
  ///
  /// - Returns: its address.
  private func placeTree() -> UInt64 {
    var tree = BoardTree()
    tree.hartCount = machine.harts.count
    tree.ramSize = machine.ram.size
    tree.bootargs = machine.configuration.bootargs
    let blob = tree.blob()
    let address = BoardTree.address(
      ramBase: machine.ram.base, ramSize: machine.ram.size, blobSize: blob.count)
    machine.ram.write(address, blob)
    return address
  }

  func enter(_ image: BareImage, _ mode: BareImage.EntryMode) {
    switch mode {
    case .machine: enterMachineMode(image.entry)
    case .supervisor: enterSupervisorMode(image.entry)
    case .auto:
      if image.base >= BoardMap.supervisorEntry {
        enterSupervisorMode(image.entry)
      } else {
        enterMachineMode(image.entry)
      }
    }
  }

  fileprivate func enterMachineMode(_ entry: UInt64) {
    let tree = placeTree()
    for (isa, hart) in zip(isas, machine.harts) {
      isa.reset(hart, pc: entry)
      hart.x[10] = UInt64(hart.index)
      hart.x[11] = tree
    }
  }

  fileprivate func enterSupervisorMode(_ entry: UInt64) {
    let tree = placeTree()
    firmware = SBI(host: self)
    for (isa, hart) in zip(isas, machine.harts) {
      isa.enterSupervisor(hart, pc: entry)
      hart.environment = self
      hart.x[10] = UInt64(hart.index)
      hart.x[11] = tree
      if hart.index > 0 { machine.states[hart.index] = .stopped }
    }
  }

  var refusal: String? { nil }
  func isShutDown(_ hart: Int) -> Bool { false }

  // MARK: Time

  func poll() {
    uart.poll()
    for transport in transports { transport.poll() }
  }

  func updateTimers() {
    clint.update()
    rtc.update()
  }

  var time: UInt64 { clint.time }
  func tick(ofTime time: UInt64) -> UInt64? { clint.tick(ofTime: time) }
  var nextDeadline: UInt64? { [clint.nextDeadline, rtc.nextDeadline].compactMap { $0 }.min() }

  // MARK: Snapshots

  var hasFirmware: Bool { firmware != nil }

  func setFirmware(_ serves: Bool) -> Bool {
    firmware = serves ? SBI(host: self) : nil
    for hart in machine.harts { hart.environment = serves ? self : nil }
    return true
  }

  func archive(_ archive: Archive) {
    clint.archive(archive)
    plic.archive(archive)
    finisher.archive(archive)
    rtc.archive(archive)
    uart.archive(archive)
    for transport in transports { transport.archive(archive) }
  }
}

/// The interrupt lines of the harts.
private final class HartLines: InterruptSink {
  private let harts: [(isa: RV64, hart: Hart)]

  init(_ isas: [RV64], _ harts: [Hart]) { self.harts = Array(zip(isas, harts)) }

  func setInterrupt(_ line: RISCVInterruptLine, _ level: Bool, hart: Int) {
    harts[hart].isa.setLine(1 << UInt64(line.rawValue), level, harts[hart].hart)
  }
}

extension BareMachine {
  /// Starts every hart of a RISC-V board in machine mode at `entry`, as QEMU does with `-bios none`.
  public func enterMachineMode(_ entry: UInt64) {
    (board as? VirtBoard)?.enterMachineMode(entry)
  }

  /// Starts hart 0 of a RISC-V board in supervisor mode at `entry` with SBI below it; the others wait to
  /// be started.
  public func enterSupervisorMode(_ entry: UInt64) {
    (board as? VirtBoard)?.enterSupervisorMode(entry)
  }
}
