import Engine
import GuestKernel
import Image
import Machine
import Probes
import RISCV

/// A scenario's machine, ready to run, for tests that do more than a scenario can say: handlers
/// that are Swift closures, runs to a count, a look at the machine in between.
///
/// ```swift
/// let rig = try Rig(scenario, seed: 17)
/// var seen: [UInt64] = []
/// try rig.uprobe("/asm:add") { hit in
///   seen.append(hit.argument(1) ?? 0)
///   return .continue
/// }
/// let outcome = rig.run()
/// #expect(outcome.ending == .status(42))
/// #expect(seen == [40])
/// ```
public final class Rig {
  /// The scenario.
  public let prepared: PreparedScenario
  /// What schedule and random bytes follow from; `nil`: round robin, and bytes of seed 0.
  ///
  /// The bytes that a program is started with (`AT_RANDOM`) are the same under all seeds.
  public private(set) var seed: UInt64?
  /// The run: of a program with the guest kernel, or of a bare board.
  public let session: any GuestSession
  /// The machine with the guest kernel; `nil` on a bare board.
  public let linux: ProgramMachine?
  /// The board without; `nil` with the guest kernel.
  public let bare: BareSession?
  /// The hits so far.
  public private(set) var hits: [Hit] = []
  /// The last instructions, where they are kept (``init(_:seed:tail:isInterrupted:)``).
  private(set) var tail: InsnTail?

  let host: ScenarioHost
  private let chooser: LiveChooser
  private let events: ProgramProbes?
  private var log: [String] = []
  private var stops: StopWatcher?
  private var swept: [Uprobe] = []
  private var start: MachineSnapshot?
  private var recording: RunRecording?

  /// Hits that are kept.
  private static let hitLimit = 1 << 20

  /// A machine for one run of a scenario.
  ///
  /// - Parameters:
  ///   - prepared: the scenario.
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  ///   - tail: how many of the last instructions are kept; it costs speed.
  ///   - trace: a file that the run is recorded into, for `emu replay` and `emu trace`; whoever asks for
  ///     it ends it with ``finishTrace()``.
  ///   - isInterrupted: whether the user wants the run to end.
  /// - Throws: ``HarnessError``.
  public convenience init(
    _ prepared: PreparedScenario, seed: UInt64? = nil, tail: Int = 0, trace: String? = nil,
    isInterrupted: @escaping () -> Bool = { false }
  ) throws(HarnessError) {
    try self.init(
      prepared, seed: seed, engine: nil, tail: tail, trace: trace, journal: nil,
      isInterrupted: isInterrupted)
  }

  /// A machine on an engine that is not the scenario's, or whose answers are kept in memory.
  init(
    _ prepared: PreparedScenario, seed: UInt64?, engine: BackEnd?, tail: Int = 0,
    trace: String? = nil, journal: Journal?, isInterrupted: @escaping () -> Bool
  ) throws(HarnessError) {
    self.prepared = prepared
    self.seed = seed
    let scenario = prepared.scenario
    host = ScenarioHost(input: scenario.input)
    chooser = Self.world(prepared, host, isInterrupted)
    if trace != nil { recording = RunRecording(chooser) }
    var door: any Chooser = recording?.recorder ?? chooser
    if let journal { door = Recorder(chooser, into: journal) }
    do throws(LaunchError) {
      switch scenario.machine.board {
      case .linux:
        var options = prepared.programOptions
        options.engine = engine ?? options.engine
        let program = try ProgramSession(prepared.command, options, chooser: door)
        session = program
        linux = program.machine
        bare = nil
        events = ProgramProbes(program.machine)
      case .bare:
        var options = prepared.bareOptions
        options.engine = engine ?? options.engine
        let board = try BareSession(prepared.path, options, chooser: door)
        session = board
        bare = board
        linux = nil
        events = nil
      }
      linux?.log = { [unowned self] in log.append($0) }
      tracer?.observer = { [unowned self] in note($0) }
      if let events, let linux {
        swept = try events.follow(prepared.plan, on: linux)
      } else if !prepared.plan.isEmpty {
        throw LaunchError(
          description: "a bare board has no probes", status: RunReport.Status.usage)
      }
      if let trace {
        try recording?.begin(
          trace, prepared.recordedCommand,
          schedule: Self.schedule(seed).name, namesImages: false)
      }
    } catch {
      throw HarnessError(error.lines.joined(separator: "; "))
    }
    try watch(tail)
    begin(seed)
  }

  /// A machine for one run of a scenario that is prepared for it.
  ///
  /// - Parameters:
  ///   - scenario: the scenario.
  ///   - seed: what schedule and random bytes follow from; `nil`: round robin.
  /// - Throws: ``HarnessError``.
  public convenience init(_ scenario: Scenario, seed: UInt64? = nil) throws(HarnessError) {
    try self.init(try PreparedScenario(scenario), seed: seed)
  }

  /// What a scenario's machines ask.
  static func world(
    _ prepared: PreparedScenario, _ host: ScenarioHost, _ isInterrupted: @escaping () -> Bool
  ) -> LiveChooser {
    // All input is there from the beginning, and then its end.
    let chooser = LiveChooser(host, wait: { true })
    chooser.interruption = isInterrupted
    chooser.reader = { (path) throws(HostFileError) -> [UInt8] in
      if path == prepared.path { return prepared.program }
      guard let bytes = prepared.scenario.files[path] else {
        throw HostFileError(description: "\(path): the scenario has no such file", missing: true)
      }
      return bytes
    }
    return chooser
  }

  // MARK: Seeds

  /// From now on schedule and random bytes follow from `seed`.
  private func begin(_ seed: UInt64?) {
    self.seed = seed
    Self.seed(chooser, host, seed)
  }

  private static func schedule(_ seed: UInt64?) -> any Schedule {
    seed.map { RandomSchedule(seed: $0) } ?? RoundRobin()
  }

  static func seed(_ chooser: LiveChooser, _ host: ScenarioHost, _ seed: UInt64?) {
    chooser.schedule = schedule(seed)
    host.reseed(seed ?? 0)
  }

  /// Keeps the machine as it is before its first instruction, for ``restart(seed:)``.
  ///
  /// - Returns: whether it can.
  func keepStart() -> Bool {
    start = try? session.takeSnapshot()
    return start != nil
  }

  /// Makes the machine what it was at ``keepStart()``, under another seed.
  ///
  /// - Returns: whether it is.
  func restart(seed: UInt64?) -> Bool {
    guard let start else { return false }
    do throws(SnapshotError) {
      try session.restore(start)
    } catch {
      return false
    }
    hits = []
    log = []
    stops?.reset()
    begin(seed)
    return true
  }

  // MARK: The machine's parts

  /// The probes; `nil` on a bare board.
  public var probes: ProbeSubsystem? { events?.subsystem }
  /// The events; `nil` on a bare board.
  public var tracer: EventTracer? { events?.tracer }
  /// The harts.
  public var harts: [Hart] { linux.map { [$0.hart] } ?? bare?.machine.harts ?? [] }
  /// RAM.
  public var ram: PhysicalMemory? { linux?.ram ?? bare?.machine.ram }
  /// Instructions begun by all harts.
  public var count: UInt64 { linux?.hart.count ?? bare?.count ?? 0 }

  // MARK: Probes

  /// A kernel probe whose handler is a closure.
  ///
  /// - Parameters:
  ///   - place: `SYMBOL[+N]` or an address, as in a definition.
  ///   - handler: runs before the instruction.
  /// - Returns: the probe.
  /// - Throws: what a definition is refused with.
  @discardableResult
  public func kprobe(
    _ place: String, _ handler: @escaping (ProbeContext) -> ProbeAction
  ) throws -> Kprobe {
    let (probes, target) = try locate(place)
    guard case .kernel(let place) = target else {
      throw HarnessError("\(place) is not in the kernel")
    }
    return try probes.registerKprobe(KprobeRequest(place, pre: handler))
  }

  /// A return probe of the kernel whose handler is a closure.
  ///
  /// - Parameters:
  ///   - place: a function.
  ///   - handler: runs when it returns.
  /// - Returns: the probe.
  /// - Throws: what a definition is refused with.
  @discardableResult
  public func kretprobe(
    _ place: String, _ handler: @escaping (ProbeContext) -> Void
  ) throws -> Kretprobe {
    let (probes, target) = try locate(place)
    guard case .kernel(let place) = target else {
      throw HarnessError("\(place) is not in the kernel")
    }
    return try probes.registerKretprobe(KretprobeRequest(place, ret: handler))
  }

  /// A probe of a program whose handler is a closure.
  ///
  /// - Parameters:
  ///   - place: `PATH:SYMBOL[+N]` or `PATH:OFFSET`, paths being those of the guest.
  ///   - handler: runs before the instruction.
  /// - Returns: the probe.
  /// - Throws: what a definition is refused with.
  @discardableResult
  public func uprobe(
    _ place: String, _ handler: @escaping (ProbeContext) -> ProbeAction
  ) throws -> Uprobe {
    let (probes, target) = try locate(place)
    guard case .file(let path, let offset) = target else {
      throw HarnessError("\(place) is in no file")
    }
    return try probes.registerUprobe(UprobeRequest(.path(path), offset: offset, entry: handler))
  }

  /// A return probe of a program whose handler is a closure.
  ///
  /// - Parameters:
  ///   - place: a function: `PATH:SYMBOL`.
  ///   - handler: runs when it returns.
  /// - Returns: the probe.
  /// - Throws: what a definition is refused with.
  @discardableResult
  public func uretprobe(
    _ place: String, _ handler: @escaping (ProbeContext) -> Void
  ) throws -> Uprobe {
    let (probes, target) = try locate(place)
    guard case .file(let path, let offset) = target else {
      throw HarnessError("\(place) is in no file")
    }
    return try probes.registerUretprobe(.path(path), offset: offset, ret: handler)
  }

  private func locate(_ place: String) throws -> (ProbeSubsystem, EventTarget) {
    guard let probes, let tracer else { throw HarnessError("a bare board has no probes") }
    return (probes, try tracer.locate(place))
  }

  private func note(_ record: TraceRecord) {
    guard hits.count < Self.hitLimit, let world = tracer?.world else { return }
    hits.append(
      Hit(
        event: record.event, pid: record.pid, comm: String(decoding: record.comm, as: UTF8.self),
        time: record.time, address: record.address,
        arguments: record.arguments.map { ($0.name, record.text(of: $0, world.symbol)) }))
  }

  private func watch(_ count: Int) throws(HarnessError) {
    if !prepared.scenario.stops.isEmpty { stops = try StopWatcher(self) }
    if count > 0 { tail = InsnTail(self, count: count) }
    guard stops != nil || tail != nil else { return }
    let observer = InsnObservers(stops: stops, tail: tail)
    observers = observer
    for hart in harts { hart.observe(observer) }
  }
  private var observers: InsnObservers?

  // MARK: Running

  /// Runs to the end, to a count of instructions, or to the scenario's limit.
  ///
  /// - Parameter count: instructions begun by all harts, at most the scenario's limit.
  /// - Returns: what has come of it so far; ``Ending/limit`` where it would go on.
  @discardableResult
  public func run(until count: UInt64 = .max) -> Outcome {
    let limit = min(count, prepared.scenario.limit)
    do throws(LaunchError) {
      _ = try session.advance(to: limit)
      return outcome(ending)
    } catch {
      return outcome(.panic(error.description))
    }
  }

  /// How the run has ended.
  private var ending: Ending {
    (session as? ProgramSession).map { Ending($0.exit) } ?? bare.map { Ending($0.exit) } ?? .stuck
  }

  /// Ends the trace, before anything else is asked of the machine.
  ///
  /// - Returns: why it is not complete; `nil` where it is, or where there is none.
  public func finishTrace() -> String? {
    defer { recording = nil }
    guard let recording else { return nil }
    _ = recording.finish(session)
    return recording.problem
  }

  private func outcome(_ ending: Ending) -> Outcome {
    var outcome = Outcome(ending: ending)
    outcome.output = host.output
    outcome.errors = host.errors
    outcome.log = log
    outcome.hits = hits
    outcome.table = tracer?.hits.rows ?? []
    outcome.failures = stops?.failures(atEnd: ending) ?? []
    if host.isCutOff {
      outcome.failures.append("more than \(ScenarioHost.outputLimit >> 20) MiB were printed")
    }
    let exceptions = harts.reduce(0) { $0 &+ $1.x[Slot.exceptions] }
    outcome.counters = ["instructions": count &- exceptions, "exceptions": exceptions]
    if let linux {
      let figures = linux.kernel.collectStatistics()
      outcome.counters["page-faults"] = figures.pageFaults
      outcome.counters["context-switches"] = figures.contextSwitches
      outcome.counters["ticks"] = figures.ticks
      outcome.counters["signals"] = figures.signalsDelivered
      outcome.counters["tasks"] = figures.tasksCreated
      outcome.counters["syscalls"] = figures.syscalls.values.reduce(0, &+)
      for (name, count) in figures.syscalls { outcome.counters["syscalls.\(name)"] = count }
      if case .signal(let signal) = ending, let fault = linux.kernel.fatalSignal,
        fault.signal == signal
      {
        outcome.fault = fault
      }
    }
    if !swept.isEmpty {
      outcome.counters["swept-probes"] = UInt64(swept.count)
      outcome.counters["swept-hits"] = swept.reduce(0) { $0 &+ $1.hits }
    }
    return outcome
  }
}
