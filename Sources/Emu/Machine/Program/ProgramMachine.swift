import Engine
import GuestKernel
import Image

/// Why a program could not be started, in one line.
public struct LaunchError: Error, CustomStringConvertible {
  /// The line.
  public let description: String
  /// The exit status that says so.
  public let status: Int32
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
  private let host: any HostServices
  /// Waits for console input; `false` where none will ever come.
  private let waitForInput: () -> Bool
  @exclusivity(unchecked) private(set) var skipped: UInt64 = 0
  @exclusivity(unchecked) private var deadline: UInt64?

  /// A machine with the guest kernel in RAM.
  ///
  /// - Parameters:
  ///   - configuration: what it is made of.
  ///   - host: the world outside.
  ///   - waitForInput: waits until the console can be read, or says that it never can.
  /// - Throws: ``LaunchError``.
  public init(
    _ configuration: ProgramConfiguration, host: any HostServices,
    waitForInput: @escaping () -> Bool
  ) throws(LaunchError) {
    let isa = configuration.architecture.make(compressed: configuration.hasCompressed)
    guard let ram = PhysicalMemory(base: isa.ramBase, size: configuration.memory) else {
      throw LaunchError(
        description: "the host refuses \(configuration.memory) bytes of RAM",
        status: RunReport.Status.failure)
    }
    self.ram = ram
    self.host = host
    self.waitForInput = waitForInput
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
    kernel.classifyTrap = { isa.signal($0) }
    kernel.interruptHart = { [unowned self] in wake() }
    kernel.log = { [unowned self] in log($0) }
    hart.environment = self
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
    while true {
      if let status = kernel.exitStatus { return .ended(status) }
      if let failure = isa.failure(hart) { return .ended(.panicked(failure)) }
      if isInterrupted() { return .interrupted }
      let count = hart.count
      guard count < limit else { return .limit }
      plan()
      var slice = min(limit &- count, 1 << 24)
      if let deadline, programTime == nil {
        slice = min(slice, max(deadline, kernel.now &+ 1) &- kernel.now)
      }
      if hart.run(until: count &+ slice) == .waiting, !idle() { return .stuck }
    }
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
      guard waitForInput() || isInterrupted() else { return false }
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

extension ProgramMachine: HartEnvironment {
  /// Serves the gate and nothing else.
  public func call(from hart: Hart) {
    guard let call = isa.gateCall(hart) else { return }
    isa.answer(kernel.gate(call.function, call.a0, call.a1, call.a2), hart)
    if kernel.exitStatus != nil || kernel.nextDeadline != deadline { hart.requestStop() }
  }
}
