import Engine
import GuestKernel
import Image
import Probes

/// `emu run`: from a program's path to a report.
public enum ProgramRun {
  /// What the command line says.
  public struct Options {
    /// The instruction set; `nil`: the program's file says.
    public var architecture: ProgramArchitecture?
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
    /// More files, by their paths in the guest; the chooser has what is in them.
    public var files: [String] = []
    /// What random bytes follow from.
    public var seed: UInt64 = 0
    /// Nanoseconds since 1970 at the start; `nil`: the host's clock.
    public var startOfRun: UInt64?
    /// Definitions of events, as in Linux's `kprobe_events` and `uprobe_events`.
    public var probes: [String] = []
    /// Probes that do more than definitions can say.
    public var plan = ProbePlan()
    /// The tasks whose hits are shown; none: all.
    public var tracedTasks: [Int32] = []
    /// Where the trace goes; `nil`: standard error.
    public var traceOutput: String?
    /// Figures have a fingerprint of the final state.
    public var hashesState = false
    /// How the trace is written.
    public var traceFormat = TraceFormat.text

    /// The defaults.
    public init() {}
  }

  /// Runs a program with its arguments until it ends.
  public static func run(_ command: [String], _ options: Options) -> RunReport {
    let world = world(options)
    do throws(LaunchError) {
      try checkRoot(options)
      let session = try ProgramSession(command, options, chooser: world)
      _ = session.advance(to: options.limit ?? .max)
      return session.finish()
    } catch {
      return error.report
    }
  }

  /// The user's own world.
  static func world(_ options: Options) -> LiveChooser {
    LiveChooser(
      Host(root: options.root, seed: options.seed, startOfRun: options.startOfRun))
  }

  /// Refuses a root that is none.
  static func checkRoot(_ options: Options) throws(LaunchError) {
    if let root = options.root, !Host.isDirectory(root) {
      throw LaunchError(
        description: "--root: \(root) is not a directory that can be read",
        status: RunReport.Status.failure)
    }
  }

  /// A machine whose first program is ready to run.
  ///
  /// - Parameters:
  ///   - command: the program's path, and its arguments.
  ///   - options: what the command line says; probes and traces are not looked at.
  ///   - chooser: who answers what the guest does not determine.
  /// - Returns: the machine.
  /// - Throws: ``LaunchError``.
  public static func machine(
    _ command: [String], _ options: Options, chooser: any Chooser
  ) throws(LaunchError) -> ProgramMachine {
    guard let program = command.first else {
      throw LaunchError(description: "which program?", status: RunReport.Status.failure)
    }
    var configuration = ProgramConfiguration()
    configuration.architecture = options.architecture ?? architecture(program, options)
    configuration.memory = options.memory
    configuration.cacheModel = options.cacheModel
    configuration.engine = options.engine
    configuration.hasRoot = options.root != nil
    configuration.terminals = (0..<3).map { chooser.isTerminal($0) }
    let machine = try ProgramMachine(configuration, chooser: chooser)
    machine.isInterrupted = { [unowned chooser] in chooser.isInterrupted() }
    let path = try place(program, in: machine, options)
    for path in options.files {
      do {
        let bytes = try machine.chooser.contents(of: path)
        try machine.kernel.vfs.installProgram(Path(path), HostBytes(bytes))
      } catch {
        throw LaunchError(
          description: "\(path): can't be put into the guest: \(error)",
          status: RunReport.Status.failure)
      }
    }
    var request = BootRequest(
      path: Array(path.utf8), arguments: command.map { Array($0.utf8) },
      environment: environment(options.environment))
    request.directory = Array("/".utf8)
    try machine.start(request)
    return machine
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
      bytes = try machine.chooser.contents(of: program)
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
    machine.program = (path, bytes)
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
  static func architecture(_ program: String, _ options: Options) -> ProgramArchitecture {
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
}

extension ProgramMachine {
  /// Where user code is, as far as the machine knows it: the hart's pc.
  var userPC: UInt64 { hart.pc }

  /// A pc of a program's text or of the guest kernel: `0x1234 (name+0x10)`.
  public func describe(_ pc: UInt64) -> String {
    describe(pc, in: kernel.current?.space?.vma(at: pc))
  }

  /// The same for a pc in a mapping.
  func describe(_ pc: UInt64, in vma: VMA?) -> String {
    let hex = "0x\(String(pc, radix: 16))"
    return symbol(pc, in: vma).map { "\(hex) (\($0))" } ?? hex
  }

  /// The symbol at a pc of the guest kernel, or of a program in a mapping.
  func symbol(_ pc: UInt64, in vma: VMA?) -> String? {
    if let found = kernel.image?.symbol(at: pc) {
      return "\(found.name)+0x\(String(found.offset, radix: 16))"
    }
    guard let vma, let file = vma.file else { return nil }
    let offset = pc &- vma.start &+ vma.pageOffset &* PhysicalMemory.pageSize
    return symbol(in: file, at: offset)
  }

  /// Where a fatal signal came: the pc with its symbol.
  public func describe(_ fatal: FatalSignal) -> String {
    let hex = "0x\(String(fatal.pc, radix: 16))"
    guard let mapping = fatal.mapping,
      let file = try? kernel.vfs.openExecutable(Path(mapping.path), kernel.vfs.makeContext())
    else { return hex }
    return symbol(in: file, at: mapping.offset).map { "\(hex) (\($0))" } ?? hex
  }

  /// The symbol at a byte of an ELF file.
  private func symbol(in file: OpenFile, at offset: UInt64) -> String? {
    guard let elf = elf(of: file) else { return nil }
    for segment in elf.header.loadable where offset &- segment.offset < segment.fileSize {
      let address = segment.address &+ (offset &- segment.offset)
      guard let found = elf.symbols.symbol(at: address) else { return nil }
      return found.offset == 0
        ? found.symbol.name : "\(found.symbol.name)+0x\(String(found.offset, radix: 16))"
    }
    return nil
  }

  /// An open file as an ELF file, read once while its size stays.
  private func elf(of file: OpenFile) -> ELFFile? {
    let key = ObjectIdentifier(file.inode)
    if let (size, elf) = elfFiles[key], size == file.inode.size { return elf }
    let bytes: [UInt8]?
    if let fileBytes {
      bytes = fileBytes(file.path.description)
    } else if let size = Int(exactly: file.inode.size), size <= 1 << 30 {
      bytes = try? file.inode.read(at: 0, size)
    } else {
      bytes = nil
    }
    guard let bytes, let elf = try? ELFFile(bytes) else { return nil }
    elfFiles[key] = (file.inode.size, elf)
    return elf
  }
}
