import ArgumentParser
import Engine
import Machine
import Probes

extension TraceFormat: ExpressibleByArgument {}

extension CacheModel: ExpressibleByArgument {}

extension BackEnd: ExpressibleByArgument {
  static let help: ArgumentHelp =
    "Which engine runs the guest; auto: the JIT where the host allows it and it is the faster one."

  /// Says where the wish for the JIT can't be fulfilled; refuses where nothing else was wished for.
  func checked() throws -> BackEnd {
    guard self != .interpreter, let obstacle = BackEnd.obstacle else { return self }
    if self == .jit {
      printError("emu: --engine jit: \(obstacle)")
      throw ExitCode(RunReport.Status.failure)
    }
    printError("emu: \(obstacle): the interpreter runs the guest")
    return .interpreter
  }
}

/// In which mode a bare image is entered.
extension BareImage.EntryMode: ExpressibleByArgument {}

/// What is run: a program or a bare image, with everything that makes its machine.
struct RunOptions: ParsableArguments {
  @Flag(help: "Run without the kernel model: the image brings its own kernel; UART on stdout.")
  var bare = false

  @OptionGroup var guest: GuestOptions

  @Option(name: .customLong("max-insns"), help: "Stop after this many instructions (status 124).")
  var maxInsns: Count?

  @Option(help: BackEnd.help)
  var engine = BackEnd.standard

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "A probe, as in Linux's kprobe_events and uprobe_events.",
      discussion: "PLACE is SYM[+OFFS], an address, PATH:OFFSET or PATH:SYMBOL[+OFFS].",
      valueName: "p|r[:[GRP/]EVENT] PLACE [ARG...]"))
  var probe: [String] = []

  @Option(
    help: ArgumentHelp(
      "Show hits of this task only, the first program's being 1; may be given several times.",
      valueName: "pid"))
  var tracePid: [Int32] = []

  @Option(
    name: .customLong("trace-output"),
    help: "Where hits of probes and the table of hits go, if not to stderr.")
  var traceOutput: String?

  @Option(help: "How hits of probes are written: text (as Linux's trace file), or json lines.")
  var format = TraceFormat.text

  @Option(help: "Bare: a file as virtio block device; FILE,ro keeps it unchanged.")
  var drive: [String] = []

  @Option(help: "Bare: the number of harts.")
  var harts = 1

  @Option(
    help: "Bare: how the image is entered: machine, supervisor (with SBI), or auto by its address.")
  var entry = BareImage.EntryMode.auto

  @Option(
    name: .customLong("load-address"),
    help: "Bare: where an image that is not an ELF file is put.")
  var loadAddress: Count?

  @Option(help: "Bare: the kernel command line, in the devicetree.")
  var append: String?

  @Flag(name: .customLong("virtio-modern"), help: "Bare: virtio 1.0 registers, not legacy ones.")
  var virtIOModern = false

  @Flag(
    name: .customLong("virtio-console"),
    help: "Bare: a virtio console on the last transport; it gets what is typed, not the UART.")
  var virtIOConsole = false

  @Flag(
    name: .customLong("virtio-rng"),
    help: "Bare: a virtio random-number device on the last transport but one (see --seed).")
  var virtIORandom = false

  @Option(help: "Bare: write the memory from begin_signature to end_signature to a file, in hex.")
  var signature: String?

  /// What is wrong with the words that stand for the program, given the other options.
  func validate(_ program: [String]) throws {
    guard let first = program.first else { throw ValidationError("Which program?") }
    if first.hasPrefix("-"), first != "-" {
      throw ValidationError("Unknown option '\(first)'")
    }
    guard (1...64).contains(harts) else { throw ValidationError("--harts is 1 to 64") }
    if traceOutput != nil, probe.isEmpty {
      throw ValidationError("--trace-output needs --probe")
    }
    if !tracePid.isEmpty, probe.isEmpty {
      throw ValidationError("--trace-pid needs --probe")
    }
    if bare {
      if guest.root != nil { throw ValidationError("--root is not for --bare") }
      if !guest.environment.isEmpty { throw ValidationError("--env is not for --bare") }
      if !probe.isEmpty { throw ValidationError("--probe is not for --bare") }
      if program.count > 1 {
        throw ValidationError("A bare image takes no arguments; --append sets its command line")
      }
    } else {
      let used = [
        ("--drive", !drive.isEmpty), ("--harts", harts != 1), ("--entry", entry != .auto),
        ("--load-address", loadAddress != nil), ("--append", append != nil),
        ("--virtio-modern", virtIOModern), ("--virtio-console", virtIOConsole),
        ("--virtio-rng", virtIORandom), ("--signature", signature != nil),
      ]
      if let wrong = used.first(where: \.1) {
        throw ValidationError("\(wrong.0) needs --bare")
      }
    }
  }

  /// The run that these options describe.
  func command(_ program: [String]) throws -> RecordedCommand {
    let engine = try engine.checked()
    if bare { return .bare(program.first ?? "", bareOptions(engine)) }
    return .program(program, programOptions(engine))
  }

  private func bareOptions(_ engine: BackEnd) -> BareRun.Options {
    var options = BareRun.Options()
    options.memory = guest.memory.bytes
    options.harts = harts
    options.cacheModel = guest.caches
    options.engine = engine
    options.limit = maxInsns?.value
    options.drives = drive
    options.entry = entry
    options.loadAddress = loadAddress?.value
    options.bootargs = append
    options.modernVirtIO = virtIOModern
    options.virtIOConsole = virtIOConsole
    options.virtIORandom = virtIORandom
    options.seed = guest.seed.value
    options.startOfRun = guest.startOfRun
    options.signature = signature
    return options
  }

  private func programOptions(_ engine: BackEnd) -> ProgramRun.Options {
    var options = ProgramRun.Options()
    guest.fill(&options)
    options.engine = engine
    options.limit = maxInsns?.value
    options.probes = probe
    options.tracedTasks = tracePid
    options.traceOutput = traceOutput
    options.traceFormat = format
    return options
  }
}
