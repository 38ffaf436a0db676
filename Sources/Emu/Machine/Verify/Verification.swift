import Engine
import GuestKernel
import Image
import Probes

/// `emu verify`: the transparency oracle.
///
/// Runs a program on two machines, one with probes and one without, and compares what the program's
/// instructions see and do: every register before each, and the bytes that each stores; then what
/// the program prints and how it ends. Trap handling that serves probes is left out, and time is the
/// program's completed instructions (``RetireWatch``).
///
/// Documented differences: the `[uprobes]` page, and the pages that breaks made private, count in
/// what a program can ask of its memory (`/proc/self/maps`, `/proc/meminfo`). The signal of a
/// program's own break instruction says `SI_KERNEL` and no address where the memory has probes, as in
/// Linux (`kernel/events/uprobes.c`, `handle_swbp`). A program that reads its own text as data reads
/// the breaks in it, as in Linux.
public final class Verification {
  /// Which instructions are probed.
  public enum Probed: Sendable, Equatable {
    /// Every instruction of every file that is mapped for execution, each time.
    case everyInsn
    /// The same, each until its first hit.
    case once
    /// These places, as in a definition of an event.
    case places([String])
    /// None of the program's.
    case none
  }

  /// What the command line says.
  public struct Options {
    /// The machine and the program's surroundings; probes and traces in it are not looked at.
    public var run = ProgramRun.Options()
    /// Which instructions of the program.
    public var probed = Probed.everyInsn
    /// The kernel's text too.
    public var kernel = false
    /// Mistakes to make on purpose.
    public var legacy: LegacyPolicies = []
    /// Instructions of trap handling without one of the program's, behind which the probed machine
    /// is taken to hang.
    public var patience: UInt64 = 1 << 28
    /// Most places in programs' text; more instructions go without.
    public var maxPlaces = 1 << 21

    /// Every instruction of the program.
    public init() {}
  }

  /// What came of it.
  public struct Report: Sendable {
    /// Instructions of the program that were compared.
    public var insns: UInt64 = 0
    /// Of the kernel.
    public var kernelInsns: UInt64 = 0
    /// Stores that were compared.
    public var stores: UInt64 = 0
    /// Tasks whose instructions were seen.
    public var tasks = 0
    /// Every instruction of the program that takes a probe had one, at all times.
    public var isEveryInsn = false
    /// What was probed and hit.
    public var coverage = VerifyCoverage()
    /// The first difference, in lines; `nil` where there is none.
    public var difference: [String]?
    /// How the program ended; `nil` where a difference came before.
    public var exit: ProgramExit?
  }

  private let host: TwinHost
  private let plain: ProgramMachine
  private let probed: ProgramMachine
  private let probes: ProbeSubsystem
  private let coverage: ProbeCoverage
  private let plainWatch: RetireWatch
  private let probedWatch: RetireWatch
  private let patience: UInt64
  private var report = Report()
  /// The last instruction of each task that was equal on both.
  private var last: [Int32: UInt64] = [:]
  /// What the probed machine had written down, and at which instruction of its hart, when it last
  /// wrote something.
  private var progress: (entries: UInt64, count: UInt64) = (0, 0)
  /// That of the task that was seen last is not in ``last``.
  private var lastTask: Int32 = -1
  private var lastAddress: UInt64 = 0

  /// Instructions that one machine runs before the other's turn.
  private static let slice: UInt64 = 1 << 14

  /// Makes two machines with the program in them, and the probes.
  ///
  /// - Parameters:
  ///   - command: the program and its arguments.
  ///   - options: what the command line says.
  ///   - output: receives what the program without probes prints, and on which stream; `nil`: it goes
  ///     to the host's.
  /// - Throws: ``LaunchError``; ``ProbePlaceError`` or `EventError` for a place that can't be probed.
  public convenience init(
    _ command: [String], _ options: Options, output: (([UInt8], Int) -> Void)? = nil
  ) throws {
    try ProgramRun.checkRoot(options.run)
    let real = Host(
      root: options.run.root, seed: options.run.seed, startOfRun: options.run.startOfRun)
    try self.init(command, options, world: LiveChooser(real), output: output)
  }

  /// Makes two machines with the program in them, and the probes.
  ///
  /// - Parameters:
  ///   - command: the program and its arguments.
  ///   - options: what the command line says.
  ///   - world: what there is around the first machine; the second one is told the same.
  ///   - output: receives what the program without probes prints, and on which stream; `nil`: it goes
  ///     to the world's.
  /// - Throws: ``LaunchError``; ``ProbePlaceError`` or `EventError` for a place that can't be probed.
  public init(
    _ command: [String], _ options: Options, world: any Chooser,
    output: (([UInt8], Int) -> Void)? = nil
  ) throws {
    host = TwinHost(world, output: output)
    var machines: [ProgramMachine] = []
    for side in [host.leader, host.follower] {
      machines.append(try ProgramRun.machine(command, options.run, chooser: side))
    }
    plain = machines[0]
    probed = machines[1]
    patience = options.patience
    let limit = options.run.limit ?? .max
    let isa = probed.isa.makeProbeISA()
    probes = ProbeSubsystem(kernel: probed.kernel, isa: isa)
    probes.legacy = options.legacy
    let selection: ProbeCoverage.Selection
    var places: [String] = []
    switch options.probed {
    case .everyInsn: selection = .always
    case .once: selection = .once
    case .none: selection = .named
    case .places(let names):
      selection = .named
      places = names
    }
    // A break in a program's page makes that page present and private, and so changes which faults
    // the kernel sees.
    var watchesKernel = false
    if case .none = options.probed { watchesKernel = options.kernel }
    plainWatch = RetireWatch(
      plain, probes: nil, isa: isa, watchesKernel: watchesKernel, limit: limit)
    probedWatch = RetireWatch(
      probed, probes: probes, isa: isa, watchesKernel: watchesKernel, limit: limit)
    coverage = ProbeCoverage(
      probed, probes, selection: selection, maxPlaces: options.maxPlaces)
    report.isEveryInsn = options.probed == .everyInsn
    if options.kernel {
      coverage.probeKernelText()
      // Text that the host writes is announced to the guest by an interrupt.
      plain.kernel.interruptHart()
    }
    let locator = ProgramProbes(probed, subsystem: probes).tracer
    for place in places {
      let target = try locator.locate(place)
      do throws(ProbeError) {
        try coverage.probe(target)
      } catch {
        throw ProbePlaceError(lines: ["\(place): \(error)"])
      }
    }
  }

  // MARK: Running

  /// Runs both to their end, or to the first difference.
  public func run() -> Report {
    var plainExit: ProgramExit?
    var probedExit: ProgramExit?
    while report.difference == nil {
      if plainExit == nil, plainWatch.log.count < 1 << 15 { plainExit = step(plain, plainWatch) }
      if probedExit == nil { probedExit = step(probed, probedWatch) }
      if plainExit == .interrupted || probedExit == .interrupted {
        report.exit = .interrupted
        break
      }
      compare(plainHasEnded: plainExit != nil, probedHasEnded: probedExit != nil)
      if let difference = host.difference() { fail([difference]) }
      if probedExit == nil { lookForHang() }
      guard let one = plainExit, let two = probedExit else { continue }
      report.exit = one
      finish(one, two)
      break
    }
    report.coverage = coverage.summary
    report.tasks = plainWatch.tasks.count
    return report
  }

  private func step(_ machine: ProgramMachine, _ watch: RetireWatch) -> ProgramExit? {
    let exit = machine.run(limit: machine.hart.count &+ Self.slice)
    // What came behind the limit, the end included, is not looked at.
    if watch.isAtLimit { return .limit }
    return exit == .limit ? nil : exit
  }

  /// The probed machine runs, but none of the program's instructions is among what it does.
  private func lookForHang() {
    let count = probed.hart.count
    if probedWatch.log.total != progress.entries || plainWatch.log.count == 0 {
      progress = (probedWatch.log.total, count)
    } else if count &- progress.count > patience {
      let next = describe(plainWatch.log.entry(0))
      fail([
        "with probes the program goes no further: \(grouped(count &- progress.count)) "
          + "instructions of trap handling, none of its own",
        "without probes next: \(next)",
      ])
    }
  }

  private func finish(_ one: ProgramExit, _ two: ProgramExit) {
    guard report.difference == nil else { return }
    if one != two {
      return fail(["the end: without probes \(text(one)), with probes \(text(two))"])
    }
    let rest = host.unmatched
    // At the limit, the one may have come a little further.
    if one != .limit, rest != (0, 0) {
      fail([
        "output: without probes \(rest.without) bytes more, with probes \(rest.with) bytes more"
      ])
    }
  }

  private func text(_ exit: ProgramExit) -> String {
    switch exit {
    case .ended(.exited(let code)): "it exits with \(code)"
    case .ended(.killed(let signal)): "signal \(signal) kills it"
    case .ended(.panicked(let message)): "the kernel panics: \(message)"
    case .limit: "it goes on"
    case .stuck: "every task waits and nothing can wake one"
    case .interrupted: "it was interrupted"
    }
  }

  // MARK: Comparing

  private func compare(plainHasEnded: Bool, probedHasEnded: Bool) {
    let one = plainWatch.log
    let two = probedWatch.log
    let same = one.commonPrefix(two)
    for index in 0..<same { pass(one.entry(index)) }
    one.drop(same)
    two.drop(same)
    if one.count > 0, two.count > 0 {
      differ()
    } else if probedHasEnded, one.count > 0 {
      fail(["only without probes the program goes on: " + describe(one.entry(0))])
    } else if plainHasEnded, two.count > 0 {
      fail(["only with probes the program goes on: " + describe(two.entry(0))])
    }
  }

  private func pass(_ entry: RetireLog.Entry) {
    switch entry.kind {
    case .insn: report.insns &+= 1
    case .kernelInsn: report.kernelInsns &+= 1
    case .store:
      report.stores &+= 1
      return
    }
    if entry.task != lastTask {
      last[lastTask] = lastAddress
      lastTask = entry.task
    }
    lastAddress = entry.address
  }

  private func describe(_ entry: RetireLog.Entry) -> String {
    let hex = "0x\(String(entry.address, radix: 16))"
    switch entry.kind {
    case .store:
      return "task \(entry.task) stores \(entry.size) bytes at \(hex): "
        + "0x\(String(entry.value, radix: 16))"
    case .insn: return "task \(entry.task) at \(place(entry.address, entry.task))"
    case .kernelInsn: return "the kernel at \(probed.describe(entry.address))"
    }
  }

  /// The first entries of both logs differ.
  private func differ() {
    let one = plainWatch.log.entry(0)
    let two = probedWatch.log.entry(0)
    var lines: [String] = []
    if let before = one.task == lastTask ? lastAddress : last[one.task] {
      lines.append("after \(place(before, one.task))\(insn(before, one.task))")
    }
    if one.kind == two.kind, one.task == two.task, one.kind != .store {
      let slots =
        one.kind == .insn ? plainWatch.log.userState : plainWatch.log.kernelState
      let mine = [one.address] + plainWatch.log.state(0)
      let theirs = [two.address] + probedWatch.log.state(0)
      lines.append("  register  without probes      with probes")
      for (index, name) in (["pc"] + slots.map(\.name)).enumerated() {
        let mark = mine[index] == theirs[index] ? " " : "*"
        let padded = name + String(repeating: " ", count: max(10 - name.count, 1))
        lines.append("\(mark) \(padded)\(word(mine[index]))    \(word(theirs[index]))")
      }
    } else {
      lines.append("without probes: \(describe(one))")
      lines.append("with probes:    \(describe(two))")
    }
    fail(lines)
  }

  private func word(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// A pc with the symbol.
  private func place(_ pc: UInt64, _ task: Int32) -> String {
    probed.describe(pc, in: text(pc, task))
  }

  /// The mapping of a task's text, as it is or was.
  private func text(_ pc: UInt64, _ task: Int32) -> VMA? {
    probed.kernel.tasks.values.first { $0.tid == task }?.space?.vma(at: pc)
      ?? coverage.text(at: pc)
  }

  /// An instruction's text and class.
  private func insn(_ pc: UInt64, _ task: Int32) -> String {
    let isa = probes.isa
    let bytes: [UInt8]
    let isKernel = pc >= plain.kernel.isa.userEnd
    if let image = plain.kernel.image, image.symbol(at: pc) != nil {
      bytes = plain.kernel.readKernel(pc, isa.maxInsnLength) ?? []
    } else {
      guard let vma = text(pc, task), let inode = vma.file?.inode else { return "" }
      let offset = vma.pageOffset << 12 &+ (pc &- vma.start)
      bytes = (try? inode.read(at: offset, isa.maxInsnLength)) ?? []
    }
    guard let insn = isa.classify(bytes, isKernel ? .kernel : .user) else { return "" }
    let how: String
    switch insn.verdict {
    case .simulate: how = "simulated"
    case .outOfLine: how = "out of line"
    case .refuse(let why, _): how = "not probed: \(why)"
    }
    return ": \(isa.disassemble(insn.bytes, at: pc).replacing("\t", with: " ")) (\(how))"
  }

  private func fail(_ lines: [String]) {
    guard report.difference == nil else { return }
    report.difference = lines
  }
}

/// Why a place can't be probed, in lines.
public struct ProbePlaceError: Error {
  /// The lines, without a newline.
  public let lines: [String]
}
