import Engine

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
/// What it has beside harts and RAM is the affair of a ``BareBoard``.
public final class BareMachine {
  /// RAM.
  public let ram: PhysicalMemory
  /// The harts.
  public let harts: [Hart]
  /// Set from outside (a signal handler's flag, a test) to end the run soon.
  public var isInterrupted: () -> Bool = { false }

  /// The harts' instruction sets.
  private let timed: [any TimedISA]
  /// Devices, firmware, and how an image is started.
  private(set) lazy var board: any BareBoard = configuration.architecture.board.init(
    self, startOfRun: startOfRun)
  private let startOfRun: UInt64
  let console: any BareConsole
  let configuration: BareConfiguration
  private let bus: Bus
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
    let kind = configuration.architecture.board
    guard let ram = PhysicalMemory(base: kind.ramBase, size: configuration.memory),
      kind.takes(memory: ram.size)
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
      let isa = kind.makeISA()
      harts.append(
        Hart(
          index: index, bus: bus, isa: isa, cacheModel: configuration.cacheModel,
          tlbCount: kind.tlbCount, sharing: harts.first,
          engine: configuration.engine, jit: configuration.jit))
      timed.append(isa)
    }
    self.harts = harts
    self.timed = timed
    self.startOfRun = startOfRun
    states = Array(repeating: .started, count: harts.count)
    waiting = Array(repeating: false, count: harts.count)
    resumeAt = Array(repeating: nil, count: harts.count)
    // Its devices are on the bus from now on.
    _ = board
    chooser?.attach(self)
  }

  /// Puts a device where the board has it.
  func attach(_ device: any Device, _ place: BoardMap.Range) {
    bus.attach(device, base: place.base, size: place.size)
  }

  // MARK: Entering an image

  /// Starts an image that was loaded, as the board does.
  public func enter(_ image: BareImage, _ mode: BareImage.EntryMode) { board.enter(image, mode) }

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
  public var refusal: String? { board.refusal }

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
        board.poll()
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
    if exit == nil, board.isShutDown(index) {
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
        board.start(hart: index, address: resume.address, opaque: resume.opaque)
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
    board.updateTimers()
    for (isa, hart) in zip(timed, harts) {
      isa.setTimeOffset(board.time &- hart.count, hart)
      isa.updateTimer(hart)
    }
  }

  private var nextDeadline: UInt64? {
    var deadlines = [board.nextDeadline, htif?.nextDeadline]
    for (isa, hart) in zip(timed, harts) {
      deadlines.append(isa.timerDeadline(hart).flatMap { board.tick(ofTime: $0) })
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
