import Engine
import GuestKernel
import Probes

/// A program on its machine, under way.
public final class ProgramSession {
  /// The machine.
  public let machine: ProgramMachine
  /// The program as it was typed.
  public let program: String
  private let trace: Trace?
  private let hashesState: Bool
  private let watch = Stopwatch()
  private var startup = 0.0
  private var lines: [String] = []

  /// Starts a program; none of its instructions has run.
  ///
  /// - Throws: ``LaunchError``, where a probe is refused too.
  public init(
    _ command: [String], _ options: ProgramRun.Options, chooser: any Chooser
  ) throws(LaunchError) {
    program = command.first ?? ""
    hashesState = options.hashesState
    machine = try ProgramRun.machine(command, options, chooser: chooser)
    trace = try Trace(machine, options)
    machine.log = { [unowned self] in lines.append($0) }
    startup = watch.seconds
  }

  /// How the program ended, or that it has not.
  public private(set) var exit = ProgramExit.limit

  /// Runs until the program ends or `limit` instructions have begun.
  ///
  /// - Returns: whether it could go on.
  public func advance(to limit: UInt64) -> Bool {
    exit = machine.run(limit: limit)
    return exit == .limit
  }

  /// The machine is another one's state: it may go on.
  func resume() { exit = .limit }

  /// What came of the run, with its figures.
  public func finish() -> RunReport {
    let hash = hashesState ? machine.stateHash() : nil
    var report = report(exit)
    if let problem = trace?.finish() { report.messages.append(problem) }
    report.messages = lines.map { "guest kernel: \($0)" } + report.messages
    report.statistics = statistics(hash)
    return report
  }

  /// The events of a run and where their lines go.
  private struct Trace {
    let probes: ProgramProbes
    let output: TraceOutput

    /// Defines the events; `nil` where there are none.
    init?(_ machine: ProgramMachine, _ options: ProgramRun.Options) throws(LaunchError) {
      if options.probes.isEmpty, options.plan.isEmpty { return nil }
      do throws(HostFileError) {
        output = try TraceOutput(options.traceOutput)
      } catch {
        throw LaunchError(description: error.description, status: RunReport.Status.usage)
      }
      probes = ProgramProbes(machine, format: options.traceFormat)
      probes.tracer.output = output.write
      if !options.tracedTasks.isEmpty {
        probes.tracer.filter.pids = Set(options.tracedTasks)
      }
      for definition in options.probes {
        do throws(EventError) {
          try probes.tracer.apply(definition)
        } catch {
          throw LaunchError(lines: error.lines, status: RunReport.Status.usage)
        }
      }
      _ = try probes.follow(options.plan, on: machine)
    }

    /// Writes the hit table.
    ///
    /// - Returns: why the trace is not complete.
    func finish() -> String? {
      output.write(probes.tracer.hits.text(probes.tracer.format))
      output.flush()
      return output.problem
    }
  }

  private func report(_ exit: ProgramExit) -> RunReport {
    let place = machine.describe(machine.userPC)
    switch exit {
    case .ended(.exited(let code)): return RunReport(status: code)
    case .ended(.killed(let signal)):
      var line = "\(program): killed by signal \(signal)"
      if let fatal = machine.kernel.fatalSignal, fatal.signal == signal {
        line = "\(program): killed by \(fatal.name) at pc \(machine.describe(fatal))"
        if let address = fatal.address { line += ", address 0x\(String(address, radix: 16))" }
      }
      return RunReport(status: 128 &+ signal, line)
    case .ended(.panicked(let message)):
      return RunReport(status: RunReport.Status.failure, "\(program): \(message)")
    case .limit:
      return RunReport(
        status: RunReport.Status.limit,
        "\(program): stopped at the limit of \(machine.hart.count) instructions, pc \(place)")
    case .stuck:
      return RunReport(
        status: RunReport.Status.failure,
        "\(program): every task waits and nothing can wake one")
    case .interrupted:
      return RunReport(
        status: RunReport.Status.interrupted, "\(program): interrupted, pc \(place)")
    }
  }

  private func statistics(_ hash: StateHash?) -> String {
    let kernel = machine.kernel.collectStatistics()
    let exceptions = machine.hart.x[Slot.exceptions]
    var figures = RunFigures(
      insns: machine.hart.count &- exceptions, exceptions: exceptions, seconds: watch.seconds,
      startup: startup, tlbMisses: machine.hart.tlbMisses,
      blocks: machine.hart.blocksTranslated)
    figures.more = [
      ("page faults", grouped(kernel.pageFaults)),
      ("system calls", grouped(kernel.syscalls.values.reduce(0, &+))),
      ("context switches", grouped(kernel.contextSwitches)),
      ("guest pages in use", grouped(UInt64(machine.kernel.frames.used))),
      ("guest pages at most", grouped(UInt64(machine.kernel.frames.peak))),
    ]
    if let hash { figures.more.append(("state hash", hash.description)) }
    if !kernel.unsupported.isEmpty {
      let names = kernel.unsupported.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      figures.more.append(("calls answered ENOSYS", names.joined(separator: ", ")))
    }
    return figures.text
  }
}
