import CPtrace
import Engine
import X86

#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// Runs a program on the host's own processor, instruction by instruction, and says what each did.
///
/// The program sees the processor that this project emulates: CPUID and XGETBV are answered by it. It
/// has no vDSO, so that time comes by system calls, whose results are in the trace.
///
/// - SeeAlso: Linux man-pages, ptrace(2); Intel SDM volume 3, 'Single-Step Exception Condition'.
final class NativeTracer {
  /// What the program is.
  struct Program {
    /// Its file.
    var path: String
    /// Its arguments, its name first.
    var arguments: [String]
    /// Whether CPUID and XGETBV are the host's own.
    var hasHostIdentification = false
  }

  private let process: Int32
  private let memory: NativeMemory
  private let identification: Identification?
  private let isa = X86TraceISA(features: .all)
  private var registers = NativeRegisters()
  private let emit: (NativeEvent) -> Void
  /// Told why the trace ends.
  var onEnd: ((NativeEnd) -> Void)?
  /// The signal that the next step delivers.
  private var signal: Int32 = 0
  private var hasExecuted = false
  private(set) var insns: UInt64 = 0
  /// The process is no more.
  private var isOver = false
  /// Which instructions are of interest, found once for each place and its bytes.
  private var kinds: [UInt64: (bytes: [UInt8], kind: Kind)] = [:]

  private struct Kind {
    var length: Int
    var isCall = false
    var identifies = false
    var repeats = false
    var pushesFlags = false
    var choosesState = false
  }

  /// The number of `rseq`.
  ///
  /// - SeeAlso: Linux, `arch/x86/entry/syscalls/syscall_64.tbl`.
  private static let restartableSequences: UInt64 = 334

  /// Starts the program, stopped before its first instruction.
  ///
  /// - Parameters:
  ///   - program: what it is.
  ///   - emit: takes the events.
  /// - Throws: why it can't be started.
  init(_ program: Program, emit: @escaping (NativeEvent) -> Void) throws(LaunchError) {
    guard native_is_supported() != 0 else {
      throw LaunchError(
        description: "--native: only on x86-64 Linux", status: RunReport.Status.usage)
    }
    self.emit = emit
    identification = program.hasHostIdentification ? nil : Identification()
    let arguments = program.arguments.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    process = native_start(program.path, arguments, environ)
    guard process > 0 else {
      throw LaunchError(
        description: "\(program.path): \(String(cString: strerror(-process)))",
        status: -process == ENOENT
          ? RunReport.Status.notFound
          : -process == EPERM ? RunReport.Status.failure : RunReport.Status.notExecutable)
    }
    memory = NativeMemory(process)
    _ = registers.read(process)
  }

  deinit { if !isOver { native_kill(process) } }

  /// The file's first mapping, and where symbols of a position-independent program are from.
  func base(_ path: String) -> UInt64? {
    for line in memory.maps() where line.hasSuffix(path) {
      return line.split(separator: "-").first.flatMap { UInt64($0, radix: 16) }
    }
    return nil
  }

  /// Runs to the end, or until so many instructions were executed.
  func run(limit: UInt64) {
    hideVDSO()
    settle(.start)
    emit(
      .arrival(
        signal: 0,
        changes: registers.values.enumerated().map {
          NativeChange(register: $0.offset, value: $0.element)
        }, next: registers.pc))
    while true {
      guard insns < limit else { return finish(.limit) }
      guard !Interruption.requested else { return finish(.interrupted) }
      if let end = advance() { return finish(end) }
    }
  }

  private func finish(_ end: NativeEnd) {
    if !isOver {
      // What the program did up to here is known; behind its own end there is no memory any more.
      settle(.program)
      native_kill(process)
      isOver = true
    }
    emit(.end(end))
    onEnd?(end)
  }

  // MARK: Steps

  /// Executes an instruction, or delivers a signal.
  private func advance() -> NativeEnd? {
    let bytes = memory.read(registers.pc, 15)
    let kind = kind(bytes)
    let before = registers
    if kind.identifies, signal == 0, let identification {
      identification.answer(Array(bytes.prefix(kind.length)), &registers)
      let failure = registers.write(process)
      guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
      emitStep(before, bytes, kind)
      return nil
    }
    let delivered = signal
    if kind.isCall, delivered == 0, registers[0] == Self.restartableSequences {
      // The kernel would write to memory at any time: a call of no number is ENOSYS.
      registers[0] = .max
      let failure = registers.write(process)
      guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
    }
    if kind.choosesState, delivered == 0, identification != nil {
      // The host may have more state than the program was told of, and has room for.
      var fewer = registers
      fewer[0] &= 7
      fewer[2] = 0
      let failure = fewer.write(process)
      guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
    }
    if kind.isCall || delivered != 0 { settle(.program) }
    signal = 0
    var hasRepeated = false
    while true {
      var detail: Int32 = 0
      switch native_step(process, hasRepeated ? 0 : delivered, &detail) {
      case NATIVE_STEPPED: break
      case NATIVE_SIGNAL:
        // Stopping a traced program would stop this one.
        signal = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(detail) ? 0 : detail
        let failure = registers.read(process)
        guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
        if hasRepeated, registers.pc == before.pc { emitStep(before, bytes, kind) }
        return nil
      case NATIVE_EXEC:
        hasExecuted = true
        memory.reopen()
        continue
      case NATIVE_EXITED:
        isOver = true
        return .exited(UInt8(truncatingIfNeeded: detail))
      case NATIVE_KILLED:
        isOver = true
        return .killed(UInt8(truncatingIfNeeded: detail))
      case NATIVE_THREAD: return .thread
      default: return .lost(UInt8(truncatingIfNeeded: detail))
      }
      let failure = registers.read(process)
      guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
      // TF stops behind each iteration; an instruction is all of them.
      guard kind.repeats, delivered == 0, registers.pc == before.pc, !Interruption.requested else {
        break
      }
      hasRepeated = true
    }
    if hasExecuted {
      hasExecuted = false
      hideVDSO()
    }
    if delivered != 0 {
      emit(
        .arrival(
          signal: UInt8(truncatingIfNeeded: delivered), changes: changes(before),
          next: registers.pc))
      settle(.kernel)
      return nil
    }
    if kind.choosesState, identification != nil {
      registers[0] = before[0]
      registers[2] = before[2]
      let failure = registers.write(process)
      guard failure == 0 else { return .lost(UInt8(truncatingIfNeeded: failure)) }
    }
    if kind.pushesFlags { clearPushedTrapFlag() }
    emitStep(before, bytes, kind)
    if kind.isCall { settle(.kernel) }
    guard registers.isWide else { return .mode }
    return memory.isTooLarge ? .lost(UInt8(truncatingIfNeeded: ENOMEM)) : nil
  }

  private func emitStep(_ before: NativeRegisters, _ bytes: [UInt8], _ kind: Kind) {
    insns &+= 1
    emit(
      .step(
        pc: before.pc, bytes: Array(bytes.prefix(kind.length)), changes: changes(before),
        next: registers.pc))
  }

  private func changes(_ before: NativeRegisters) -> [NativeChange] {
    var found: [NativeChange] = []
    for index in registers.values.indices where registers[index] != before[index] {
      found.append(NativeChange(register: index, value: registers[index]))
    }
    return found
  }

  /// Which kind an instruction is; what the decoder does not know is given with all of its bytes.
  private func kind(_ bytes: [UInt8]) -> Kind {
    if let known = kinds[registers.pc], known.bytes == bytes { return known.kind }
    let length = isa.length(bytes)
    var kind = Kind(length: length ?? bytes.count)
    let op = length.flatMap { isa.op(Array(bytes.prefix($0))) }
    // `int 0x80` and SYSENTER call the kernel too.
    kind.isCall =
      op == .syscall || bytes.starts(with: [0xcd, 0x80]) || bytes.starts(with: [0x0f, 0x34])
    kind.identifies = op == .cpuid || op == .xgetbv
    kind.repeats = isa.repeats(Array(bytes.prefix(kind.length)))
    kind.pushesFlags = op == .pushf
    kind.choosesState = op == .xsave || op == .xsaveopt || op == .xrstor
    kinds[registers.pc] = (bytes, kind)
    return kind
  }

  /// PUSHF pushes the TF that steps it: the program must not see it.
  private func clearPushedTrapFlag() {
    let at = registers[4]
    guard let high = memory.read(at &+ 1, 1).first else { return }
    memory.write(at &+ 1, [high & ~1])
  }

  // MARK: Memory

  private enum Author {
    case start, program, kernel
  }

  /// Says what has changed in memory since the last time.
  private func settle(_ author: Author) {
    memory.changes { address, bytes in
      emit(
        author == .program
          ? .expected(address: address, bytes: bytes) : .written(address: address, bytes: bytes))
    }
    if author == .program { emit(.compared) }
  }

  /// Makes AT_SYSINFO_EHDR an entry that is passed over.
  ///
  /// - SeeAlso: System V ABI, AMD64 supplement, 'Auxiliary Vector'.
  private func hideVDSO() {
    var at = registers[4]
    func word(_ address: UInt64) -> UInt64? {
      let bytes = memory.read(address, 8)
      return bytes.count == 8 ? bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } : nil
    }
    guard let count = word(at), count < 1 << 24 else { return }
    at = at &+ 8 &* (count &+ 2)
    while let entry = word(at), entry != 0 { at = at &+ 8 }
    at = at &+ 8
    while let kind = word(at), kind != 0 {
      // 33 is AT_SYSINFO_EHDR, 1 is AT_IGNORE.
      if kind == 33 { memory.write(at, littleEndian(1, 8)) }
      at = at &+ 16
    }
  }
}
