import Engine
import RISCV
import X86

/// An instruction set with a timer of the hart's own.
protocol TimedISA: GuestISA {
  /// Says how far the machine's ticks are ahead of the hart's count.
  func setTimeOffset(_ offset: UInt64, _ hart: Hart)
  /// Fires the timer where its time has come.
  func updateTimer(_ hart: Hart)
  /// When it fires, in its own time.
  func timerDeadline(_ hart: Hart) -> UInt64?
}

extension RV64: TimedISA {}
extension X64: TimedISA {}

/// How a bare run ended.
public enum BareExit: Sendable, Equatable {
  /// The guest ended the machine by its finisher, SBI or HTIF, with this status (0: well).
  case finished(status: Int32)
  /// The guest asked to start anew.
  case reset
  /// HTIF said that a test failed.
  case testFailed(UInt64)
  /// The limit of instructions was reached.
  case limit
  /// Every hart waits and nothing can wake one.
  case stuck
  /// The processor was shut down: by a fault while a double fault was delivered, or because it was to
  /// do what it can't.
  case shutDown
  /// The user interrupted the run.
  case interrupted
}

/// What a bare board is made of.
public struct BareConfiguration {
  /// The instruction set, and with it the board: QEMU's `virt`, or of a PC what an image needs.
  public var architecture = ProgramArchitecture.riscv64
  /// Bytes of RAM.
  public var memory: UInt64 = 128 << 20
  /// How many harts.
  public var harts = 1
  /// How stale caches may be.
  public var cacheModel = CacheModel.coherent
  /// What runs micro-ops.
  public var engine = BackEnd.standard
  /// How the JIT works.
  public var jit = JITOptions()
  /// Block devices, in the order of their transports.
  public var drives: [any BlockBackend] = []
  /// The register layout of the virtio transports.
  ///
  /// Legacy, as on QEMU by default.
  public var virtIO = VirtIOMMIO.Version.legacy
  /// The kernel's command line.
  public var bootargs: String?
  /// A virtio console is on the last transport, and what is typed goes to it and not to the UART.
  public var virtIOConsole = false
  /// Bytes for a virtio random-number device on the last transport but one.
  public var entropy: (any EntropySource)?
  /// Instructions that a hart runs before the next one has its turn, at most.
  public var quantum: UInt64 = 1000

  /// One hart and 128 MiB.
  public init() {}
}

/// A board without a kernel model: the image brings its own.
///
/// For RISC-V, addresses, interrupts and firmware are those of QEMU's `virt`; for x86-64 the board
/// is a PC.
///
/// - SeeAlso: QEMU, "'virt' Generic Virtual Platform (virt)", "i440fx PC (pc-i440fx, pc)".
public final class BareMachine {
  /// RAM.
  public let ram: PhysicalMemory
  /// The harts.
  public let harts: [Hart]
  /// Set from outside (a signal handler's flag, a test) to end the run soon.
  public var isInterrupted: () -> Bool = { false }

  /// The harts' instruction sets: as such, those of RISC-V harts, and that of a PC's.
  private let timed: [any TimedISA]
  let isas: [RV64]
  let pcISAs: [X64]
  var pc: PCBoard?
  let console: any BareConsole
  let configuration: BareConfiguration
  private let bus: Bus
  var clint: CLINT?
  var plic: PLIC?
  var finisher: TestFinisher?
  var rtc: GoldfishRTC?
  var uart: UART16550?
  var transports: [VirtIOMMIO] = []
  var firmware: SBI?
  var htif: HTIF?
  private var checkingHTIF = false

  /// Ticks at the start of the present slice, and idle time skipped among them.
  var base: UInt64 = 0
  var skipped: UInt64 = 0
  private var running: Int?
  private var sliceStart: UInt64 = 0
  /// Who had the last turn.
  var last = -1
  /// Decides which hart runs: round robin without one.
  let chooser: (any Chooser)?
  /// What is left of the turn of a hart that only the limit of a run cut short.
  var unfinished: (hart: Int, left: UInt64)?
  /// Whether it is inside ``run(limit:)``.
  private(set) var isRunning = false
  var exit: BareExit?
  var states: [SBIHartState]
  var waiting: [Bool]
  var resumeAt: [(address: UInt64, opaque: UInt64)?]

  /// A board with empty RAM.
  ///
  /// - Returns: `nil` where the host refuses the RAM.
  public convenience init?(
    _ configuration: BareConfiguration, console: any BareConsole, startOfRun: UInt64
  ) {
    self.init(configuration, console: console, startOfRun: startOfRun, chooser: nil)
  }

  /// A board with empty RAM, which asks `chooser` everything that the guest does not determine; `nil`
  /// where the host refuses the RAM.
  ///
  /// - Parameters:
  ///   - configuration: what it is made of.
  ///   - chooser: who is asked.
  ///   - console: the chooser's console, where a board before this one had it already.
  public convenience init?(
    _ configuration: BareConfiguration, chooser: any Chooser, console: ChosenConsole? = nil
  ) {
    self.init(
      configuration, console: console ?? ChosenConsole(chooser), startOfRun: chooser.startOfRun,
      chooser: chooser)
  }

  private init?(
    _ configuration: BareConfiguration, console: any BareConsole, startOfRun: UInt64,
    chooser: (any Chooser)?
  ) {
    let isPC = configuration.architecture == .x86_64
    guard
      let ram = PhysicalMemory(
        base: isPC ? 0 : BoardMap.ramBase, size: configuration.memory),
      !isPC || (2 << 20...PCMap.ramLimit).contains(ram.size)
    else { return nil }
    self.ram = ram
    self.configuration = configuration
    self.console = console
    self.chooser = chooser
    let bus = Bus(ram: ram)
    self.bus = bus
    var harts: [Hart] = []
    var timed: [any TimedISA] = []
    for index in 0..<max(configuration.harts, 1) {
      let isa: any TimedISA = isPC ? X64() : RV64()
      harts.append(
        Hart(
          index: index, bus: bus, isa: isa, cacheModel: configuration.cacheModel,
          tlbCount: isPC ? X64.tlbCount : RV64.tlbCount, sharing: harts.first,
          engine: configuration.engine, jit: configuration.jit))
      timed.append(isa)
    }
    self.harts = harts
    self.timed = timed
    isas = timed.compactMap { $0 as? RV64 }
    pcISAs = timed.compactMap { $0 as? X64 }
    states = Array(repeating: .started, count: harts.count)
    waiting = Array(repeating: false, count: harts.count)
    resumeAt = Array(repeating: nil, count: harts.count)
    if isPC { attachPC(startOfRun) } else { attachDevices(startOfRun) }
    chooser?.attach(self)
  }

  private func attachDevices(_ startOfRun: UInt64) {
    let clint = CLINT(clock: self, sink: self, hartCount: harts.count)
    let plic = PLIC(sink: self, hartCount: harts.count)
    let finisher = TestFinisher()
    finisher.onExit = { [unowned self] in
      switch $0 {
      case .pass: end(.finished(status: 0))
      case .fail(let code): end(.finished(status: Int32(truncatingIfNeeded: code & 0xff)))
      case .reset: end(.reset)
      }
    }
    let rtc = GoldfishRTC(
      clock: self, wire: InterruptWire(plic, source: BoardMap.rtcSource), start: startOfRun)
    let line = ConsoleLine(console)
    let uart = UART16550(
      wire: InterruptWire(plic, source: BoardMap.uartSource), sink: line,
      source: configuration.virtIOConsole ? nil : line)
    for index in 0..<BoardMap.virtIOCount {
      let transport = VirtIOMMIO(
        version: configuration.virtIO, device: virtIODevice(index), ram: ram,
        wire: InterruptWire(plic, source: BoardMap.virtIOSource(index)))
      transports.append(transport)
      let place = BoardMap.virtIO(index)
      bus.attach(transport, base: place.base, size: place.size)
    }
    attach(Rescheduling(clint, self), BoardMap.clint)
    attach(plic, BoardMap.plic)
    attach(finisher, BoardMap.finisher)
    attach(Rescheduling(rtc, self), BoardMap.rtc)
    attach(uart, BoardMap.uart)
    self.clint = clint
    self.plic = plic
    self.finisher = finisher
    self.rtc = rtc
    self.uart = uart
    for (isa, hart) in zip(isas, harts) {
      isa.onTimerChange = { [unowned hart] in hart.requestStop() }
    }
  }

  private func attachPC(_ startOfRun: UInt64) {
    let line = ConsoleLine(console)
    let pc = PCBoard(self, startOfRun: startOfRun, sink: line, source: line)
    pc.ioapic.onMessage = { [unowned self] in deliver($0, .none, from: nil) }
    for (isa, hart) in zip(pcISAs, harts) {
      isa.onMessage = { [unowned self, unowned hart] in deliver($0, $1, from: hart.index) }
      isa.onReset = { [unowned self] in end(.reset) }
      isa.onEndOfInterrupt = { [unowned pc] in pc.ioapic.end($0) }
      isa.onTimerChange = { [unowned hart] in hart.requestStop() }
      isa.random = { [unowned self] in chooser?.randomBytes($0) ?? [] }
      isa.ports = pc
    }
    attach(pc.ioapic, PCMap.ioapic)
    attach(LocalAPICWindow(self), PCMap.localAPIC)
    self.pc = pc
  }

  /// Has every processor that a message is for take it.
  private func deliver(_ message: APICMessage, _ shorthand: APICShorthand, from sender: Int?) {
    var receivers = harts.indices.filter { index in
      switch shorthand {
      case .none: pcISAs[index].accepts(message, harts[index])
      case .itself: index == sender
      case .all: true
      case .others: index != sender
      }
    }
    if message.isForOne {
      let least = receivers.min {
        pcISAs[$0].processorPriority(harts[$0]) < pcISAs[$1].processorPriority(harts[$1])
      }
      receivers = least.map { [$0] } ?? []
    }
    for index in receivers { pcISAs[index].receive(message, harts[index]) }
    // Whoever was woken has its turn.
    if receivers.contains(where: { $0 != running }) { currentHart?.requestStop() }
  }

  /// Drives from the first transport on; console and random numbers from the last one down.
  private func virtIODevice(_ index: Int) -> (any VirtIODevice)? {
    if configuration.drives.indices.contains(index) {
      return VirtIOBlock(configuration.drives[index])
    }
    switch BoardMap.virtIOCount - index {
    case 1 where configuration.virtIOConsole:
      let line = ConsoleLine(console)
      return VirtIOConsole(sink: line, source: line)
    case 2: return configuration.entropy.map { VirtIOEntropy($0) }
    default: return nil
    }
  }

  private func attach(_ device: any Device, _ place: BoardMap.Range) {
    bus.attach(device, base: place.base, size: place.size)
  }

  // MARK: Entering an image

  /// Puts the devicetree into RAM.
  ///
  /// - Returns: its address.
  private func placeTree() -> UInt64 {
    var tree = BoardTree()
    tree.hartCount = harts.count
    tree.ramSize = ram.size
    tree.bootargs = configuration.bootargs
    let blob = tree.blob()
    let address = BoardTree.address(
      ramBase: ram.base, ramSize: ram.size, blobSize: blob.count)
    ram.write(address, blob)
    return address
  }

  /// Starts an image that was loaded; one for x86-64 as its boot protocol says.
  public func enter(_ image: BareImage, _ mode: BareImage.EntryMode) {
    if let boot = image.boot { return enterProtectedMode(image.entry, boot) }
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

  /// Starts every hart in machine mode at `entry`, as QEMU does with `-bios none`.
  public func enterMachineMode(_ entry: UInt64) {
    let tree = placeTree()
    for (isa, hart) in zip(isas, harts) {
      isa.reset(hart, pc: entry)
      hart.x[10] = UInt64(hart.index)
      hart.x[11] = tree
    }
  }

  /// Starts hart 0 in supervisor mode at `entry` with SBI below it; the others wait to be started.
  public func enterSupervisorMode(_ entry: UInt64) {
    let tree = placeTree()
    firmware = SBI(host: self)
    for (isa, hart) in zip(isas, harts) {
      isa.enterSupervisor(hart, pc: entry)
      hart.environment = self
      hart.x[10] = UInt64(hart.index)
      hart.x[11] = tree
      if hart.index > 0 { states[hart.index] = .stopped }
    }
  }

  /// Watches `tohost` (and answers in `fromhost`), which must lie in RAM.
  public func watchHTIF(tohost: UInt64, fromhost: UInt64?) {
    guard ram.contains(tohost, 8) else { return }
    htif = HTIF(tohost: tohost, fromhost: fromhost.flatMap { ram.contains($0, 8) ? $0 : nil })
    ram.monitor(tohost)
    ram.monitor(tohost &+ 7)
    ram.onMonitoredStore = { [unowned self] pa, size in
      guard pa < tohost &+ 8, tohost < pa &+ size else { return }
      htif?.noteStore(pa, size: Int(size))
      checkHTIF(now: ticks)
      // A value that must settle sets a deadline.
      currentHart?.requestStop()
    }
  }

  private func checkHTIF(now: UInt64) {
    guard !checkingHTIF, let htif else { return }
    checkingHTIF = true
    defer { checkingHTIF = false }
    while exit == nil, let event = htif.check(ram, now: now) {
      switch event {
      case .pass: end(.finished(status: 0))
      case .fail(let test): end(.testFailed(test))
      case .write(let fd, let bytes): console.write(bytes, stream: fd == 2 ? 2 : 1)
      }
    }
  }

  // MARK: Running

  /// Instructions begun by all harts.
  public var count: UInt64 { harts.reduce(0) { $0 &+ $1.count } }

  var currentHart: Hart? { running.map { harts[$0] } }

  /// What the image asked of the processor that is not done, where that ended the run.
  public var refusal: String? {
    zip(pcISAs, harts).lazy.compactMap { $0.refusal($1) }.first
  }

  /// The hart that runs, or ran last.
  public var latestHart: Hart { harts[max(running ?? last, 0)] }

  /// Ends the run behind the instruction being executed.
  func end(_ how: BareExit) {
    if exit == nil { exit = how }
    currentHart?.requestStop()
  }

  /// Runs until the guest ends, the limit of instructions (of all harts together) is reached, or
  /// nothing can happen any more.
  ///
  /// Where the limit was reached, a further run goes on as if there had been no stop.
  public func run(limit: UInt64 = .max) -> BareExit {
    isRunning = true
    defer { isRunning = false }
    while exit == nil {
      if isInterrupted() { return .interrupted }
      let count = count
      guard count < limit else { return .limit }
      let planned: (hart: Int, left: UInt64)
      if let unfinished {
        // Nothing is looked at meanwhile: where a run is interrupted must not matter to the guest.
        planned = unfinished
        self.unfinished = nil
      } else {
        refreshTimers()
        checkHTIF(now: ticks)
        uart?.poll()
        pc?.uart.poll()
        for transport in transports { transport.poll() }
        guard exit == nil else { break }
        let deadline = nextDeadline
        guard let slice = nextSlice(before: deadline) else {
          guard idle(until: deadline) else { return .stuck }
          continue
        }
        planned = slice
      }
      let slice = min(planned.left, limit &- count)
      if run(planned.hart, slice) == .budget, slice < planned.left {
        unfinished = (planned.hart, planned.left &- slice)
      }
    }
    return exit ?? .stuck
  }

  private func run(_ index: Int, _ slice: UInt64) -> HartStop {
    let hart = harts[index]
    running = index
    sliceStart = hart.count
    let stop = hart.run(until: sliceStart &+ slice)
    if exit == nil, pcISAs.indices.contains(index), pcISAs[index].isShutDown(hart) {
      exit = .shutDown
    }
    base &+= hart.count &- sliceStart
    running = nil
    if stop == .waiting { waiting[index] = true }
    if harts.count > 1 { hart.leave() }
    return stop
  }

  /// The next turn; `nil` where no hart can run.
  private func nextSlice(before deadline: UInt64?) -> (hart: Int, left: UInt64)? {
    var runnable: UInt64 = 0
    for index in harts.indices where canRun(index) { runnable |= 1 << UInt64(index) }
    guard runnable != 0 else { return nil }
    var most = harts.count > 1 ? max(configuration.quantum, 1) : 1 << 22
    if let deadline { most = min(most, max(deadline &- base, 1)) }
    let question = SliceQuestion(runnable: runnable, last: last, most: most)
    let slice = chooser?.nextSlice(question) ?? RoundRobin.answer(question)
    last = slice.hart
    return (slice.hart, slice.insns)
  }

  /// Whether a hart is started and does not wait; one that was woken no longer does.
  private func canRun(_ index: Int) -> Bool {
    switch states[index] {
    case .started: break
    case .suspended:
      guard timed[index].wakes(harts[index]) else { return false }
      states[index] = .started
      waiting[index] = false
      if let resume = resumeAt[index] {
        resumeAt[index] = nil
        start(hart: index, address: resume.address, opaque: resume.opaque)
      }
    default: return false
    }
    if waiting[index] {
      guard timed[index].wakes(harts[index]) else { return false }
      waiting[index] = false
    }
    return true
  }

  private func refreshTimers() {
    clint?.update()
    rtc?.update()
    pc?.pit.update()
    for (isa, hart) in zip(timed, harts) {
      isa.setTimeOffset((clint?.time ?? base) &- hart.count, hart)
      isa.updateTimer(hart)
    }
  }

  private var nextDeadline: UInt64? {
    var deadlines = [
      clint?.nextDeadline, rtc?.nextDeadline, htif?.nextDeadline, pc?.pit.nextDeadline,
    ]
    for (isa, hart) in zip(timed, harts) {
      let time = isa.timerDeadline(hart)
      deadlines.append(pc == nil ? time.flatMap { clint?.tick(ofTime: $0) } : time)
    }
    return deadlines.compactMap { $0 }.min()
  }

  /// Nothing can run: lets time pass until a deadline, or waits for the console.
  ///
  /// - Returns: `false` where nothing can come.
  private func idle(until deadline: UInt64?) -> Bool {
    if let deadline {
      if deadline > base {
        skipped &+= deadline &- base
        base = deadline
      } else {
        // A deadline that is due but wakes nobody must not stop time.
        base &+= 1
      }
      return true
    }
    return console.waitForInput() || isInterrupted()
  }
}

extension BareMachine: ChoosingMachine {
  /// Nanoseconds of guest time.
  public var time: UInt64 { ticks }
  /// The pc of the hart that runs, or ran last.
  public var place: UInt64 { latestHart.pc }
  /// Ends the present slice.
  public func stopSoon() { currentHart?.requestStop() }
}

extension BareMachine: BoardClock {
  /// Instructions of all harts, and skipped idle time.
  public var ticks: UInt64 {
    guard let running else { return base }
    return base &+ (harts[running].count &- sliceStart)
  }
}

extension BareMachine: InterruptSink {
  /// Drives an interrupt line of a hart.
  public func setInterrupt(_ line: RISCVInterruptLine, _ level: Bool, hart: Int) {
    isas[hart].setLine(1 << UInt64(line.rawValue), level, harts[hart])
  }
}

/// The console as devices see it.
///
/// They don't hold the machine, which holds them.
private final class ConsoleLine: ConsoleSink, ConsoleSource {
  private let console: any BareConsole

  init(_ console: any BareConsole) { self.console = console }

  func write(_ bytes: [UInt8]) { console.write(bytes, stream: 1) }
  func next() -> UInt8? { console.next() }
}

/// The console of a bare board: what its UART is wired to.
public protocol BareConsole: AnyObject {
  /// Prints bytes; stream 1 is output, 2 errors.
  func write(_ bytes: [UInt8], stream: Int)
  /// The next byte that has arrived; never waits.
  func next() -> UInt8?
  /// Waits until a byte has arrived.
  ///
  /// - Returns: `false` where none will ever come.
  func waitForInput() -> Bool
  /// What it has read and not yet given out, and the like.
  var archivedState: [UInt8] { get set }
}

extension BareConsole {
  /// Nothing.
  public var archivedState: [UInt8] {
    get { [] }
    set {}
  }
}

/// A device whose registers say when something is due: after a write the machine plans anew.
private final class Rescheduling: Device {
  private let device: any Device
  private unowned let machine: BareMachine

  init(_ device: any Device, _ machine: BareMachine) {
    self.device = device
    self.machine = machine
  }

  func read(_ offset: UInt64, size: Int) -> UInt64 { device.read(offset, size: size) }

  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    device.write(offset, size: size, value)
    machine.currentHart?.requestStop()
  }
}
