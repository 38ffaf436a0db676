import Engine
import GuestKernel
import Image

/// Why a program could not be started, in one line (for a refused probe, in several).
public struct LaunchError: Error, CustomStringConvertible {
  /// The lines.
  public let lines: [String]
  /// The exit status that says so.
  public let status: Int32

  /// One line.
  public init(description: String, status: Int32) {
    self.init(lines: [description], status: status)
  }

  /// Several lines.
  public init(lines: [String], status: Int32) {
    self.lines = lines
    self.status = status
  }

  /// The lines as one text.
  public var description: String { lines.joined(separator: "\n") }

  /// A report that says so.
  public var report: RunReport {
    var report = RunReport(status: status)
    report.messages = lines
    return report
  }
}

/// How a run of a program ended.
public enum ProgramExit: Sendable, Equatable {
  /// The first program ended.
  case ended(ExitStatus)
  /// The limit of instructions was reached.
  case limit
  /// Every task waits and nothing can wake one.
  case stuck
  /// The user interrupted the run.
  case interrupted
}

/// What a program's machine is made of.
public struct ProgramConfiguration {
  /// Bytes of RAM.
  public var memory: UInt64 = 512 << 20
  /// How stale caches may be.
  public var cacheModel = CacheModel.coherent
  /// What runs micro-ops.
  public var engine = BackEnd.standard
  /// How the JIT works.
  public var jit = JITOptions()
  /// A host directory is to be seen as `/` (through the host services).
  public var hasRoot = false
  /// For standard input, output and error: whether the host's is a terminal.
  public var terminals = [false, false, false]

  /// The hart's instruction set.
  public var architecture = ProgramArchitecture.riscv64
  /// Whether a RISC-V hart has compressed instructions; the built-in guest kernel needs them.
  public var hasCompressed = true
  /// The guest kernel's image, if not the built-in one.
  public var kernelImage: [UInt8]?

  /// 512 MiB, coherent caches, an empty root.
  public init() {}
}

/// A machine that runs Linux programs: one hart, RAM, and the guest kernel, whose text the hart
/// executes and whose model answers behind the gate.
public final class ProgramMachine {
  /// RAM.
  public let ram: PhysicalMemory
  /// The hart.
  public let hart: Hart
  /// The kernel model.
  public let kernel: Kernel
  /// Set from outside to end the run soon.
  public var isInterrupted: () -> Bool = { false }
  /// Receives what the guest kernel prints.
  public var log: (String) -> Void = { _ in }

  /// Instructions of the program, where they and not those of the kernel are the time.
  ///
  /// Without it all are. Whoever sets it tells the hart's own clock, and calls ``fireTimer()`` when
  /// ``isTimerDue``.
  @exclusivity(unchecked) var programTime: (() -> UInt64)?

  let isa: any ProgramISA
  /// Who answers what the guest does not determine.
  public let chooser: any Chooser
  /// The bytes of a file by its path in the guest, for whoever wants symbols where reading it in the
  /// guest, which fills pages, would make the run another one.
  var fileBytes: ((String) -> [UInt8]?)?
  /// The first program's path in the guest and its file, where it came from outside of the guest.
  var program: (path: String, bytes: [UInt8])?
  /// Files whose symbols were asked for, by their inodes.
  var elfFiles: [ObjectIdentifier: (size: UInt64, elf: ELFFile)] = [:]
  /// Where the present slice ends, though a limit may have stopped the hart before.
  var sliceEnd: UInt64 = 0
  @exclusivity(unchecked) var skipped: UInt64 = 0
  /// Whether it is inside ``run(limit:)``.
  private(set) var isRunning = false
  /// Which guest kernel it has.
  lazy var kernelFingerprint = StateHash(kernel.image?.elf.bytes ?? [])
  @exclusivity(unchecked) private var deadline: UInt64?

  /// A machine with the guest kernel in RAM.
  ///
  /// - Parameters:
  ///   - configuration: what it is made of.
  ///   - host: the world outside.
  ///   - waitForInput: waits until the console can be read, or says that it never can.
  /// - Throws: ``LaunchError``.
  public convenience init(
    _ configuration: ProgramConfiguration, host: any HostServices,
    waitForInput: @escaping () -> Bool
  ) throws(LaunchError) {
    try self.init(configuration, chooser: LiveChooser(host, wait: waitForInput))
  }

  /// A machine with the guest kernel in RAM.
  ///
  /// - Parameters:
  ///   - configuration: what it is made of.
  ///   - host: answers everything that the guest does not determine.
  /// - Throws: ``LaunchError``.
  public init(
    _ configuration: ProgramConfiguration, chooser host: any Chooser
  ) throws(LaunchError) {
    let isa = configuration.architecture.make(compressed: configuration.hasCompressed)
    guard let ram = PhysicalMemory(base: isa.ramBase, size: configuration.memory) else {
      throw LaunchError(
        description: "the host refuses \(configuration.memory) bytes of RAM",
        status: RunReport.Status.failure)
    }
    self.ram = ram
    chooser = host
    self.isa = isa
    let hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa.guest, cacheModel: configuration.cacheModel,
      tlbCount: isa.tlbCount, engine: configuration.engine, jit: configuration.jit)
    self.hart = hart
    let facts = isa.kernel
    let image: KernelImage
    do {
      image = try KernelImage(configuration.kernelImage ?? isa.kernelImage, isa: facts)
      try image.load(into: ram)
    } catch {
      throw LaunchError(
        description: "the guest kernel's image: \(error)", status: RunReport.Status.failure)
    }
    let frames = PageAllocator(ram: ram, from: image.physicalEnd)
    var time: () -> UInt64 = { 0 }
    var options = VFS.Options()
    options.hostRoot = configuration.hasRoot
    options.terminals = configuration.terminals
    let vfs = VFS(frames: frames, host: host, options: options, now: { time() })
    kernel = Kernel(
      isa: facts, ram: ram, frames: frames, host: host, hart: hart, image: image, vfs: vfs)
    let ticks: () -> UInt64 = { [unowned self] in (programTime?() ?? hart.count) &+ skipped }
    kernel.clock = ticks
    time = { host.startOfRun &+ ticks() }
    isa.setRandom { [unowned host] in host.randomBytes($0) }
    kernel.classifyTrap = { isa.signal($0, $1) }
    kernel.interruptHart = { [unowned self] in wake() }
    kernel.log = { [unowned self] in log($0) }
    hart.environment = self
    host.attach(self)
  }

  /// Makes the first program ready to run.
  public func start(_ request: BootRequest) throws(LaunchError) {
    do {
      try kernel.boot(request)
    } catch let error as ExecError {
      throw LaunchError(
        description: error.description,
        status: error.errno == .ENOENT
          ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    } catch {
      throw LaunchError(
        description: "the guest kernel can't start with \(ram.size >> 20) MiB of RAM: \(error)",
        status: RunReport.Status.failure)
    }
    isa.start(hart, pc: kernel.image?.entry ?? 0, root: kernel.bootRoot)
  }

  /// Runs until the first program ends, `limit` instructions have begun, or nothing can happen.
  public func run(limit: UInt64 = .max) -> ProgramExit {
    isRunning = true
    defer { isRunning = false }
    while true {
      if let status = kernel.exitStatus { return .ended(status) }
      if let failure = isa.failure(hart) { return .ended(.panicked(failure)) }
      if isInterrupted() { return .interrupted }
      let count = hart.count
      guard count < limit else { return .limit }
      plan()
      if count >= sliceEnd { sliceEnd = count &+ nextSlice() }
      let stop = hart.run(until: min(sliceEnd, limit))
      // What stopped it before the end of its slice calls for a new plan.
      if stop != .budget { sliceEnd = 0 }
      if stop == .waiting, !idle() { return .stuck }
    }
  }

  /// How many instructions the hart runs before the machine looks around.
  private func nextSlice() -> UInt64 {
    var most: UInt64 = 1 << 24
    if let deadline, programTime == nil {
      most = min(most, max(deadline, kernel.now &+ 1) &- kernel.now)
    }
    return chooser.nextSlice(SliceQuestion(runnable: 1, last: 0, most: most)).insns
  }

  /// Has the hart's own timer fire at the kernel's next deadline.
  private func plan() {
    deadline = kernel.nextDeadline
    if programTime != nil {
      isa.setTimer(isTimerDue ? 0 : nil, hart)
      return
    }
    isa.setTimeOffset(skipped, hart)
    isa.setTimer(deadline, hart)
  }

  /// Whether the kernel's next deadline has come.
  var isTimerDue: Bool {
    guard let deadline else { return false }
    return kernel.now >= deadline
  }

  /// Raises the timer interrupt: the hart takes it before the instruction that it is at.
  func fireTimer() { isa.setTimer(0, hart) }

  /// The hart waits: lets time pass, or waits for the console.
  private func idle() -> Bool {
    if kernel.exitStatus != nil || isa.guest.wakes(hart) { return true }
    if kernel.waitingForConsole, kernel.nextDeadline == nil {
      guard chooser.waitForInput() || isInterrupted() else { return false }
      kernel.consoleInputArrived()
      wake()
      return true
    }
    guard let deadline = kernel.nextDeadline else { return false }
    let now = kernel.now
    if deadline > now { skipped &+= deadline &- now }
    if kernel.waitingForConsole { kernel.consoleInputArrived() }
    return true
  }

  /// Ends the guest's `wfi`: the idle loop looks for something to run.
  private func wake() { isa.interrupt(hart) }
}

extension ProgramMachine: ChoosingMachine {
  /// Instructions begun.
  public var count: UInt64 { hart.count }
  /// Nanoseconds of guest time.
  public var time: UInt64 { kernel.now }
  /// The hart's pc.
  public var place: UInt64 { hart.pc }
  /// Ends the present slice.
  public func stopSoon() { hart.requestStop() }
}

extension ProgramMachine: HartEnvironment {
  /// Serves the gate and nothing else.
  public func call(from hart: Hart) {
    guard let call = isa.gateCall(hart) else { return }
    isa.answer(kernel.gate(call.function, call.a0, call.a1, call.a2), hart)
    if kernel.isAnother(than: deadline) { hart.requestStop() }
  }
}
