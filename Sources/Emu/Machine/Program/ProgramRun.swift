import Engine
import GuestKernel
import Image
import Probes

/// `emu run`: from a program's path to a report.
public enum ProgramRun {
  /// What the command line says.
  public struct Options {
    /// Bytes of RAM.
    public var memory: UInt64 = 512 << 20
    /// How stale caches may be.
    public var cacheModel = CacheModel.coherent
    /// What runs micro-ops.
    public var engine = BackEnd.standard
    /// Most instructions.
    public var limit: UInt64?
    /// A host directory that is `/`.
    public var root: String?
    /// The program's environment, `NAME=value`.
    public var environment: [String] = []
    /// What random bytes follow from.
    public var seed: UInt64 = 0
    /// Definitions of events, as in Linux's `kprobe_events` and `uprobe_events`.
    public var probes: [String] = []
    /// The tasks whose hits are shown; none: all.
    public var tracedTasks: [Int32] = []
    /// Where the trace goes; `nil`: standard error.
    public var traceOutput: String?
    /// How the trace is written.
    public var traceFormat = TraceFormat.text

    /// The defaults.
    public init() {}
  }

  /// Runs a program with its arguments until it ends.
  public static func run(_ command: [String], _ options: Options) -> RunReport {
    let program = command.first ?? ""
    let watch = Stopwatch()
    let host = Host(root: options.root, seed: options.seed)
    do {
      let machine = try machine(
        command, options, host: host, terminals: (0..<3).map { host.isTerminal($0) },
        waitForInput: { host.waitForInput(milliseconds: -1) })
      machine.isInterrupted = { Interruption.requested }
      var lines: [String] = []
      machine.log = { lines.append($0) }
      let trace: Trace?
      do throws(RefusedProbe) {
        trace = try Trace(machine, options)
      } catch {
        var report = RunReport(status: RunReport.Status.usage)
        report.messages = error.lines
        return report
      }
      let startup = watch.seconds
      let exit = machine.run(limit: options.limit ?? .max)
      var report = report(exit, program, machine)
      if let problem = trace?.finish() { report.messages.append(problem) }
      report.messages = lines.map { "guest kernel: \($0)" } + report.messages
      report.statistics = statistics(machine, watch.seconds, startup)
      return report
    } catch {
      return RunReport(status: error.status, error.description)
    }
  }

  /// A machine whose first program is ready to run.
  static func machine(
    _ command: [String], _ options: Options, host: any HostServices, terminals: [Bool],
    waitForInput: @escaping () -> Bool
  ) throws(LaunchError) -> ProgramMachine {
    guard let program = command.first else {
      throw LaunchError(description: "which program?", status: RunReport.Status.failure)
    }
    if let root = options.root, !Host.isDirectory(root) {
      throw LaunchError(
        description: "--root: \(root) is not a directory that can be read",
        status: RunReport.Status.failure)
    }
    var configuration = ProgramConfiguration()
    configuration.architecture = architecture(program, options)
    configuration.memory = options.memory
    configuration.cacheModel = options.cacheModel
    configuration.engine = options.engine
    configuration.hasRoot = options.root != nil
    configuration.terminals = terminals
    let machine = try ProgramMachine(configuration, host: host, waitForInput: waitForInput)
    let path = try place(program, in: machine, options)
    var request = BootRequest(
      path: Array(path.utf8), arguments: command.map { Array($0.utf8) },
      environment: environment(options.environment))
    request.directory = Array("/".utf8)
    try machine.start(request)
    return machine
  }

  /// Why a run with probes is not begun, in lines for stderr.
  private struct RefusedProbe: Error {
    var lines: [String]
  }

  /// The events of a run and where their lines go.
  private struct Trace {
    let probes: ProgramProbes
    let output: TraceOutput

    /// Defines the events; `nil` where there are none.
    init?(_ machine: ProgramMachine, _ options: Options) throws(RefusedProbe) {
      if options.probes.isEmpty { return nil }
      do throws(HostFileError) {
        output = try TraceOutput(options.traceOutput)
      } catch {
        throw RefusedProbe(lines: [error.description])
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
          throw RefusedProbe(lines: error.lines)
        }
      }
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

  /// What a program finds in its environment besides what `--env` sets.
  private static func environment(_ given: [String]) -> [[UInt8]] {
    var entries = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"]
    for entry in given {
      let name = entry.prefix { $0 != "=" }
      entries.removeAll { $0.prefix { $0 != "=" } == name }
      entries.append(entry)
    }
    return entries.map { Array($0.utf8) }
  }

  /// Finds the program: below `--root` if it is there, else in the host, from where it is put into
  /// the guest's tree at the path that the user typed.
  ///
  /// - Returns: its path in the guest.
  private static func place(
    _ program: String, in machine: ProgramMachine, _ options: Options
  ) throws(LaunchError) -> String {
    if options.root != nil, let found = inRoot(program, machine) { return found }
    let bytes: [UInt8]
    do {
      bytes = try Host.contents(of: program)
    } catch {
      throw LaunchError(
        description: error.description,
        status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    }
    do {
      // The same reading that execve will do, for a line that says what is wrong.
      if bytes.prefix(2) != [0x23, 0x21] {
        let needs = ELFRequirements(
          machine: machine.kernel.isa.elfMachine, addressLimit: machine.kernel.isa.userEnd)
        _ = try ELFHeader(fileSize: UInt64(bytes.count), requirements: needs) { offset, count in
          Array(bytes.dropFirst(Int(clamping: offset)).prefix(count))
        }
      }
    } catch {
      throw LaunchError(
        description: "\(program): \(error)", status: RunReport.Status.notExecutable)
    }
    let path = guestPath(program)
    do {
      try machine.kernel.vfs.installProgram(Path(path), HostBytes(bytes))
    } catch {
      throw LaunchError(
        description: "\(program): can't be put at \(path) in the guest: \(error)",
        status: RunReport.Status.failure)
    }
    return path
  }

  private static func inRoot(_ program: String, _ machine: ProgramMachine) -> String? {
    let vfs = machine.kernel.vfs
    return placesInRoot(program).first {
      (try? vfs.resolve(Path($0), vfs.makeContext())) != nil
    }
  }

  /// Where below `--root` a program may be.
  private static func placesInRoot(_ program: String) -> [String] {
    if program.hasPrefix("/") { return [program] }
    if program.contains("/") { return [] }
    return ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map { "\($0)/\(program)" }
  }

  /// The instruction set of a program, as its ELF file or that of the script's interpreter says;
  /// what is neither, or nobody's, is refused later on any machine.
  private static func architecture(_ program: String, _ options: Options) -> ProgramArchitecture {
    var program = program
    for _ in 0..<4 {
      var places = [program]
      if let root = options.root {
        places = placesInRoot(program).map { root + $0 } + places
      }
      guard let start = places.lazy.compactMap({ Host.start(of: $0, 256) }).first else { break }
      if start.starts(with: [0x23, 0x21]) {
        let line = start.dropFirst(2).prefix { $0 != 0x0a }
        let words = line.split { $0 == 0x20 || $0 == 0x09 }
        guard let word = words.first else { break }
        program = String(decoding: word, as: UTF8.self)
        continue
      }
      return ProgramArchitecture(elf: start) ?? .riscv64
    }
    return .riscv64
  }

  /// The typed path as the guest, whose working directory is `/`, understands it.
  static func guestPath(_ typed: String) -> String {
    let parts = typed.split(separator: "/").filter { $0 != "." }
    if parts.contains("..") { return "/" + (parts.last.map(String.init) ?? "program") }
    return "/" + parts.joined(separator: "/")
  }

  private static func report(
    _ exit: ProgramExit, _ program: String, _ machine: ProgramMachine
  ) -> RunReport {
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

  private static func statistics(
    _ machine: ProgramMachine, _ seconds: Double, _ startup: Double
  ) -> String {
    let kernel = machine.kernel.collectStatistics()
    let exceptions = machine.hart.x[Slot.exceptions]
    var figures = RunFigures(
      insns: machine.hart.count &- exceptions, exceptions: exceptions, seconds: seconds,
      startup: startup, tlbMisses: machine.hart.tlbMisses,
      blocks: machine.hart.blocksTranslated)
    figures.more = [
      ("page faults", grouped(kernel.pageFaults)),
      ("system calls", grouped(kernel.syscalls.values.reduce(0, &+))),
      ("context switches", grouped(kernel.contextSwitches)),
      ("guest pages in use", grouped(UInt64(machine.kernel.frames.used))),
      ("guest pages at most", grouped(UInt64(machine.kernel.frames.peak))),
    ]
    if !kernel.unsupported.isEmpty {
      let names = kernel.unsupported.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      figures.more.append(("calls answered ENOSYS", names.joined(separator: ", ")))
    }
    return figures.text
  }
}

extension ProgramMachine {
  /// Where user code is, as far as the machine knows it: the hart's pc.
  var userPC: UInt64 { hart.pc }

  /// A pc of a program's text or of the guest kernel: `0x1234 (name+0x10)`.
  func describe(_ pc: UInt64) -> String { describe(pc, in: kernel.current?.space?.vma(at: pc)) }

  /// The same for a pc in a mapping.
  func describe(_ pc: UInt64, in vma: VMA?) -> String {
    let hex = "0x\(String(pc, radix: 16))"
    if let found = kernel.image?.symbol(at: pc) {
      return "\(hex) (\(found.name)+0x\(String(found.offset, radix: 16)))"
    }
    guard let vma, let file = vma.file else { return hex }
    let offset = pc &- vma.start &+ vma.pageOffset &* PhysicalMemory.pageSize
    return symbol(in: file, at: offset).map { "\(hex) (\($0))" } ?? hex
  }

  func describe(_ fatal: FatalSignal) -> String {
    let hex = "0x\(String(fatal.pc, radix: 16))"
    guard let mapping = fatal.mapping,
      let file = try? kernel.vfs.openExecutable(Path(mapping.path), kernel.vfs.makeContext())
    else { return hex }
    return symbol(in: file, at: mapping.offset).map { "\(hex) (\($0))" } ?? hex
  }

  /// The symbol at a byte of an ELF file.
  private func symbol(in file: OpenFile, at offset: UInt64) -> String? {
    guard let size = Int(exactly: file.inode.size), size <= 1 << 30,
      let bytes = try? file.inode.read(at: 0, size), let elf = try? ELFFile(bytes)
    else { return nil }
    for segment in elf.header.loadable where offset &- segment.offset < segment.fileSize {
      let address = segment.address &+ (offset &- segment.offset)
      guard let found = elf.symbols.symbol(at: address) else { return nil }
      return found.offset == 0
        ? found.symbol.name : "\(found.symbol.name)+0x\(String(found.offset, radix: 16))"
    }
    return nil
  }
}
