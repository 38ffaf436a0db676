import Engine
import Image

/// Why a program could not be started.
public struct ExecError: Error, Sendable, CustomStringConvertible {
  /// What `execve` answers.
  public let errno: Errno
  /// The reason in one line, for whoever typed the command.
  public let description: String

  /// An error with its reason.
  public init(_ errno: Errno, _ description: String) {
    self.errno = errno
    self.description = description
  }
}

/// What `execve` is asked for.
public struct ExecRequest {
  /// The file, opened for execution.
  public var file: OpenFile
  /// The path it was found by: `AT_EXECFN`, what a script's interpreter is told, and ``ExecResult/name``.
  public var path: [UInt8]
  /// The arguments, without NULs.
  public var argv: [[UInt8]]
  /// The environment, without NULs.
  public var envp: [[UInt8]]
  /// The caller's identity.
  public var uid: UInt32 = 0, euid: UInt32 = 0, gid: UInt32 = 0, egid: UInt32 = 0
  /// The caller's limits.
  public var limits = AddressSpace.Limits()

  /// A request of user 0 with default limits.
  public init(file: OpenFile, path: [UInt8], argv: [[UInt8]], envp: [[UInt8]]) {
    self.file = file
    self.path = path
    self.argv = argv
    self.envp = envp
  }
}

/// A program that is ready to run.
public struct ExecResult {
  /// Its memory.
  public private(set) var space: AddressSpace
  /// Where it starts: the interpreter's entry, if it has one.
  public private(set) var pc: UInt64
  /// Its stack pointer, 16-byte aligned, at `argc`.
  public private(set) var sp: UInt64
  /// The file that `/proc/pid/exe` leads to.
  public private(set) var exe: OpenFile
  /// `comm`: the last part of the path, at most 15 bytes.
  public private(set) var name: [UInt8]
}

extension ExecResult: Archived {
  package static func placeholder(_ a: Archive) -> ExecResult {
    ExecResult(
      space: a.placeholder(AddressSpace.self), pc: 0, sp: 0, exe: a.placeholder(OpenFile.self),
      name: [])
  }
  package mutating func archive(_ a: Archive) {
    a.ref("space", &space)
    a("pc", &pc)
    a("sp", &sp)
    a.ref("exe", &exe)
    a("name", &name)
  }
}

/// `execve`, up to the point where the caller gives up its old address space.
///
/// Nothing of the caller's is changed, so a failure always comes back as an error, also where Linux
/// has passed its point of no return and kills the process.
///
/// - SeeAlso: Linux, `fs/exec.c`, `fs/binfmt_elf.c`, `fs/binfmt_script.c`; execve(2)
public struct Exec {
  /// What programs are made of.
  struct Environment {
    var frames: PageAllocator
    var isa: any KernelISA
    var kernelRoot: UInt64
    var signalPages: SpecialPages?
    var host: any HostServices
  }

  let environment: Environment
  let open: (_ path: [UInt8]) throws(Errno) -> OpenFile

  /// Makes a program ready to run.
  ///
  /// - Parameters:
  ///   - request: what and how.
  ///   - frames: where frames come from.
  ///   - isa: the instruction set.
  ///   - kernelRoot: the table whose upper half every root copies.
  ///   - asid: for the new address space.
  ///   - host: for `AT_RANDOM`.
  ///   - signalPages: the page with `rt_sigreturn`, made once and shared by all programs; without it
  ///     each gets its own copy.
  ///   - open: opens a path for execution (Linux's `open_exec`): interpreters of scripts and programs.
  ///     The caller has opened ``ExecRequest/file`` likewise.
  /// - Returns: the program.
  /// - Throws: what `execve` answers, and a line for people.
  public static func load(
    _ request: ExecRequest, frames: PageAllocator, isa: any KernelISA, kernelRoot: UInt64,
    asid: UInt16, host: any HostServices, signalPages: SpecialPages? = nil,
    open: (_ path: [UInt8]) throws(Errno) -> OpenFile
  ) throws(ExecError) -> ExecResult {
    let environment = Environment(
      frames: frames, isa: isa, kernelRoot: kernelRoot, signalPages: signalPages, host: host)
    return try withoutActuallyEscaping(open) { (open) throws(ExecError) in
      try Exec(environment: environment, open: open).load(request, asid)
    }
  }

  private func load(_ request: ExecRequest, _ asid: UInt16) throws(ExecError) -> ExecResult {
    var request = request
    if request.argv.isEmpty { request.argv = [[]] }
    let typed = request.path
    try ArgumentLimits.check(request)
    var script = request.path
    var depth = 0
    while true {
      let head = try bytes(of: request.file, 0, 256, script)
      guard head.count >= 2, head[0] == 0x23, head[1] == 0x21 else { break }
      depth += 1
      guard depth <= 5 else {
        throw ExecError(.ELOOP, "\(Self.text(typed)): too many interpreters of interpreters")
      }
      guard let line = ScriptLine(head) else {
        throw ExecError(.ENOEXEC, "\(Self.text(script)): no interpreter after #!")
      }
      request.argv.replaceSubrange(
        0..<1, with: [line.interpreter] + (line.argument.map { [$0] } ?? []) + [script])
      request.file = try openInterpreter(line.interpreter, of: script)
      script = line.interpreter
    }
    if depth > 0 { try ArgumentLimits.check(request) }
    return try loadELF(request, script, asid)
  }

  private func openInterpreter(
    _ path: [UInt8], of program: [UInt8]
  ) throws(ExecError) -> OpenFile {
    do throws(Errno) {
      return try open(path)
    } catch {
      throw ExecError(
        error, "\(Self.text(program)): needs the interpreter \(Self.text(path)): \(error)")
    }
  }

  /// Up to `count` bytes of a file.
  private func bytes(
    of file: OpenFile, _ offset: UInt64, _ count: Int, _ path: [UInt8]
  ) throws(ExecError) -> [UInt8] {
    do throws(Errno) {
      return try file.inode.read(at: offset, count)
    } catch {
      throw ExecError(error, "\(Self.text(path)): can't be read: \(error)")
    }
  }

  static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }

  // MARK: ELF

  private func header(
    _ file: OpenFile, _ path: [UInt8], _ wrong: Errno
  ) throws(ExecError)
    -> ELFHeader
  {
    let end = environment.isa.userEnd
    var failure: Errno?
    do throws(ELFError) {
      return try ELFHeader(
        fileSize: file.inode.size,
        requirements: ELFRequirements(
          machine: environment.isa.elfMachine, addressLimit: end, memoryLimit: end)
      ) { offset, count in
        do throws(Errno) {
          return try file.inode.read(at: offset, count)
        } catch {
          failure = error
          return []
        }
      }
    } catch {
      throw ExecError(failure ?? wrong, "\(Self.text(path)): \(error)")
    }
  }

  private func loadELF(
    _ request: ExecRequest, _ path: [UInt8], _ asid: UInt16
  ) throws(ExecError) -> ExecResult {
    let program = try header(request.file, path, .ENOEXEC)
    var interpreter: (file: OpenFile, header: ELFHeader)?
    if let (offset, count) = program.interpreterRange {
      let name = try bytes(of: request.file, offset, count, path)
      guard name.count == count, name.last == 0 else {
        throw ExecError(.ENOEXEC, "\(Self.text(path)): the interpreter's path does not end")
      }
      let plain = Array(name.prefix { $0 != 0 })
      let file = try openInterpreter(plain, of: path)
      interpreter = (file, try header(file, plain, .ELIBBAD))
    }
    do throws(Errno) {
      return try build(request, program, interpreter, asid)
    } catch {
      throw ExecError(error, "\(Self.text(path)): can't be loaded: \(error)")
    }
  }

  private func build(
    _ request: ExecRequest, _ program: ELFHeader,
    _ interpreter: (file: OpenFile, header: ELFHeader)?, _ asid: UInt16
  ) throws(Errno) -> ExecResult {
    let isa = environment.isa
    let space = try AddressSpace(
      frames: environment.frames, isa: isa, kernelRoot: environment.kernelRoot, asid: asid)
    space.limits = request.limits
    space.mmapBase = AddressSpace.mmapBase(stack: request.limits.stack, userEnd: isa.userEnd)

    var bias: UInt64 = 0
    if program.isPIE {
      // ELF_ET_DYN_BASE
      bias = (isa.userEnd / 3 &* 2) & MM.pageMask &- (program.firstAddress & MM.pageMask)
      let alignment = program.loadable.map(\.alignment).max() ?? 1
      if alignment > 4096 { bias &= ~(alignment &- 1) }
    }
    try map(program, request.file, bias, in: space)
    layOut(program, bias, in: space)
    var pc = bias &+ program.entry
    var base: UInt64 = 0
    if let (file, header) = interpreter {
      if header.isPIE {
        let first = header.firstAddress & MM.pageMask
        let length = MM.pageAlign(header.endAddress) &- first
        base = try space.unmappedArea(0, length, fixed: false) &- first
      }
      try map(header, file, base, in: space)
      pc = base &+ header.entry
    }
    let code = isa.signalPage
    if let pages = environment.signalPages {
      space.signalPage = try space.insertSpecial(name: "[vdso]", pages: pages)
    } else if !code.isEmpty {
      space.signalPage = try space.insertSpecial(name: "[vdso]", bytes: code)
    }
    let stack = InitialStack(
      request: request, isa: isa, header: program, bias: bias, interpreterBase: base,
      random: environment.host.randomBytes(16))
    let sp = try stack.place(in: space, executable: program.executableStack ?? false)
    let name = request.path.split(separator: 0x2f).last.map { Array($0.prefix(15)) } ?? []
    return ExecResult(space: space, pc: pc, sp: sp, exe: request.file, name: name)
  }

  /// Maps the segments of a file.
  ///
  /// - SeeAlso: Linux, `fs/binfmt_elf.c`, `elf_load`
  private func map(
    _ header: ELFHeader, _ file: OpenFile, _ bias: UInt64, in space: AddressSpace
  ) throws(Errno) {
    let end = environment.isa.userEnd
    for segment in header.loadable {
      var prot: Int32 = 0
      if segment.isReadable { prot |= MM.PROT_READ }
      if segment.isWritable { prot |= MM.PROT_WRITE }
      if segment.isExecutable { prot |= MM.PROT_EXEC }
      let address = bias &+ segment.address
      let start = address & MM.pageMask
      let (last, over) = address.addingReportingOverflow(segment.memorySize)
      guard !over, last <= end else { throw .ENOMEM }
      guard start >= MM.minAddress else { throw .EPERM }
      var mapped = start
      if segment.fileSize > 0 {
        let stop = address &+ segment.fileSize
        mapped = MM.pageAlign(stop)
        try space.place(
          VMA(
            start: start, end: mapped, prot: prot, flags: [], backing: .file(file),
            pageOffset: (segment.offset &- (address & 4095)) >> 12, name: nil))
        if segment.memorySize > segment.fileSize, segment.isWritable, stop & 4095 != 0 {
          try space.clear(stop, Int(mapped &- stop))
        }
      }
      let all = MM.pageAlign(last)
      if all > mapped {
        try space.place(
          VMA(
            start: mapped, end: all, prot: prot, flags: [], backing: .anonymous,
            pageOffset: mapped >> 12, name: nil))
      }
    }
  }

  /// Notes where the program's parts are; the heap begins behind the last segment.
  private func layOut(_ header: ELFHeader, _ bias: UInt64, in space: AddressSpace) {
    var layout = AddressSpace.Layout()
    let code = header.loadable.filter(\.isExecutable)
    layout.startCode = bias &+ header.firstAddress
    layout.endCode = bias &+ (code.map { $0.address &+ $0.fileSize }.max() ?? 0)
    layout.startData = bias &+ (header.loadable.last?.address ?? 0)
    layout.endData = bias &+ (header.loadable.map { $0.address &+ $0.fileSize }.max() ?? 0)
    layout.startBrk = MM.pageAlign(bias &+ header.endAddress)
    layout.brk = layout.startBrk
    space.layout = layout
  }
}
