import CPtrace
import Engine
import Foundation
import GuestKernel
import X86

/// A program on the host's own processor, kept beside the same program in the emulator: every pc that
/// the emulated one comes to, the native one must come to.
///
/// Its inputs are made equal: it begins with the emulated one's stack (arguments, auxiliary vector,
/// random bytes), and what CPUID, the time-stamp counter and system calls about time, randomness and
/// users answer is the emulated one's answer. Process numbers are its own: it may send signals.
final class NativeTwin: InsnObserver {
  private let process: Int32
  private let memory: Int32
  private let kernel: Kernel
  private let limit: UInt64
  private var task: Int32?
  private var previous: UInt64?
  private var number: UInt64 = 0
  private var before: [UInt64] = []
  private var registers = native_registers()
  private var vectors = native_vectors()
  private var kinds: [UInt64: Kind] = [:]
  private var isOver = false
  /// Places compared: instructions, of which one that goes on at its own place counts once.
  private(set) var count: UInt64 = 0
  /// The first difference.
  private(set) var difference: String?

  private enum Kind { case plain, identifies, calls }

  /// System calls whose results, and memory at an argument, are the emulated one's.
  private struct Answer {
    /// The argument that is an address, and how many bytes are there: the result's many for 0.
    var argument: Int?
    var bytes = 0
  }

  /// - SeeAlso: Linux, `arch/x86/entry/syscalls/syscall_64.tbl`.
  private static let answers: [UInt64: Answer] = [
    102: Answer(), 104: Answer(), 107: Answer(), 108: Answer(), 201: Answer(),
    96: Answer(argument: 7, bytes: 16), 228: Answer(argument: 6, bytes: 16),
    63: Answer(argument: 7, bytes: 390), 318: Answer(argument: 7),
    // How many processors there are.
    204: Answer(argument: 2),
    // The processor's own; not served here: rseq.
    334: Answer(),
  ]

  /// Starts `path`, stopped before its first instruction.
  init(
    _ path: String, arguments: [String], kernel: Kernel, limit: UInt64
  ) throws {
    guard native_is_supported() != 0 else {
      throw ToolError(description: "only on x86-64 Linux", status: 3)
    }
    self.kernel = kernel
    self.limit = limit
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var none: [UnsafeMutablePointer<CChar>?] = [nil]
    // It reads nothing, and what it prints is the emulated one's.
    process = Self.silently { native_start(path, words, &none) }
    guard process > 0 else {
      throw ToolError(description: "\(path): \(String(cString: strerror(-process)))")
    }
    memory = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
  }

  deinit {
    if memory >= 0 { close(memory) }
    if !isOver { native_kill(process) }
  }

  /// Runs `body` with standard input and output that are empty.
  private static func silently(_ body: () -> Int32) -> Int32 {
    let kept = [dup(0), dup(1)]
    let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
    for stream in 0...1 { dup2(nothing, Int32(stream)) }
    defer {
      for stream in 0...1 {
        dup2(kept[stream], Int32(stream))
        close(kept[stream])
      }
      close(nothing)
    }
    return body()
  }

  func willExecute(_ pc: UInt64, on hart: Hart) {
    // Other tasks are not followed.
    guard let current = kernel.current?.tid, current == task ?? current else { return }
    task = current
    // A fault that was mended, or the next iteration.
    guard difference == nil, pc != previous else { return }
    if let previous { follow(from: previous, to: pc, hart) } else { begin(at: pc, hart) }
    previous = pc
    number = hart.x[Registers.slot(0)]
    before = (0..<16).map { hart.x[Registers.slot(UInt8($0))] }
    count += 1
    if difference != nil || count >= limit { hart.requestStop() }
  }

  private func gpr(_ body: (UnsafeMutablePointer<UInt64>) -> Void) {
    if let gpr = native_gpr(&registers) { body(gpr) }
  }

  /// Gives the native one the emulated one's stack and registers.
  private func begin(at pc: UInt64, _ hart: Hart) {
    guard native_read(process, &registers, &vectors) == 0 else { return differ("can't be read") }
    guard registers.rip == pc else {
      return differ("begins at \(hex(registers.rip)), not at \(hex(pc))")
    }
    let sp = hart.x[Registers.slot(4)]
    // To the end of its stack's mapping.
    var bytes: [UInt8] = []
    while let page = try? kernel.current?.space?.read(
      sp &+ UInt64(bytes.count), 4096 - Int((sp &+ UInt64(bytes.count)) & 4095))
    {
      bytes += page
    }
    guard write(sp, bytes) else { return differ("has no stack at \(hex(sp))") }
    gpr { for index in 0..<16 { $0[index] = hart.x[Registers.slot(UInt8(index))] } }
    guard native_write(process, &registers) == 0 else { return differ("can't be changed") }
  }

  private func write(_ address: UInt64, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes {
      pwrite(memory, $0.baseAddress, $0.count, off_t(truncatingIfNeeded: address)) == $0.count
    }
  }

  /// What is at a place, looked at once.
  private func kind(_ pc: UInt64) -> Kind {
    if let known = kinds[pc] { return known }
    var bytes = [UInt8](repeating: 0, count: 15)
    let got = pread(memory, &bytes, 15, off_t(truncatingIfNeeded: pc))
    var kind = Kind.plain
    if case .insn(let insn) = Decoder.decode(Array(bytes.prefix(max(got, 0)))) {
      switch insn.op {
      case .cpuid, .xgetbv, .rdtsc, .rdtscp, .rdpid: kind = .identifies
      case .syscall: kind = .calls
      default: break
      }
    }
    kinds[pc] = kind
    return kind
  }

  /// The native one executes the instruction at `previous`.
  private func follow(from previous: UInt64, to pc: UInt64, _ hart: Hart) {
    let kind = kind(previous)
    if kind == .identifies {
      gpr { for index in 0..<4 { $0[index] = hart.x[Registers.slot(UInt8(index))] } }
      registers.rip = pc
      if native_write(process, &registers) != 0 { differ("can't be changed") }
      return
    }
    let answer = kind == .calls ? Self.answers[number] : nil
    let mapped = kind == .calls ? placed(hart.x[Registers.slot(0)]) : nil
    guard step(from: previous, to: pc) else { return }
    if let mapped {
      gpr {
        $0[7] = mapped.address
        $0[10] = mapped.flags
      }
      if native_write(process, &registers) != 0 { return differ("can't be changed") }
    }
    // A signal that came with the call is delivered behind it.
    if kind == .calls, registers.rip != pc { takeSignal() }
    guard registers.rip == pc else {
      return differ(
        "goes from \(hex(previous)) to \(hex(registers.rip)), not to \(hex(pc))"
          + registersApart(hart))
    }
    if let answer { answered(answer, hart) }
  }

  /// Has an mmap that leaves the place to the kernel map where the emulated one did.
  ///
  /// - Returns: what two registers held, for behind the call.
  private func placed(_ result: UInt64) -> (address: UInt64, flags: UInt64)? {
    let fixed: UInt64 = 0x10
    let fixedNoReplace: UInt64 = 0x10_0000
    guard number == 9, Int64(bitPattern: result) >= 0, before[10] & fixed == 0 else { return nil }
    gpr {
      $0[7] = result
      $0[10] |= fixedNoReplace
    }
    if native_write(process, &registers) != 0 { differ("can't be changed") }
    return (before[7], before[10])
  }

  /// Steps until it is somewhere else, with the signals that come.
  private func step(from previous: UInt64, to pc: UInt64) -> Bool {
    var signal: Int32 = 0
    for _ in 0..<1 << 26 {
      var detail: Int32 = 0
      switch native_step(process, signal, &detail) {
      case NATIVE_STEPPED: signal = 0
      case NATIVE_SIGNAL: signal = detail
      case NATIVE_EXITED, NATIVE_KILLED:
        isOver = true
        differ("ends behind \(hex(previous))")
        return false
      default:
        differ("can't be followed behind \(hex(previous))")
        return false
      }
      guard native_read(process, &registers, &vectors) == 0 else { break }
      if signal == 0, registers.rip != previous { return true }
    }
    differ("stays at \(hex(previous))")
    return false
  }

  /// Delivers the signal that waits, if one does.
  private func takeSignal() {
    var signal: Int32 = 0
    guard native_step(process, 0, &signal) == NATIVE_SIGNAL else { return }
    if native_step(process, signal, &signal) == NATIVE_STEPPED {
      _ = native_read(process, &registers, &vectors)
    }
  }

  /// Says where the two have different registers, for whom a difference puzzles.
  private func registersApart(_ hart: Hart) -> String {
    var names: [String] = []
    guard let gpr = native_gpr(&registers) else { return "" }
    for index in 0..<16 where gpr[index] != hart.x[Registers.slot(UInt8(index))] {
      let name = Registers.name(UInt8(index), size: 8, rex: true)
      names.append("\(name) \(hex(gpr[index])) and \(hex(hart.x[Registers.slot(UInt8(index))]))")
    }
    return names.isEmpty ? "" : " (\(names.joined(separator: ", ")))"
  }

  private func answered(_ answer: Answer, _ hart: Hart) {
    let result = hart.x[Registers.slot(0)]
    gpr { $0[0] = result }
    if native_write(process, &registers) != 0 { return differ("can't be changed") }
    guard let argument = answer.argument, Int64(bitPattern: result) >= 0 else { return }
    let size = answer.bytes == 0 ? Int(result) : answer.bytes
    if let bytes = try? kernel.current?.space?.read(before[argument], size) {
      _ = write(before[argument], bytes)
    }
  }

  /// The emulated program has ended with this status (a shell's).
  func end(_ status: Int32) {
    guard difference == nil, let previous else { return }
    var detail: Int32 = 0
    var stop = native_step(process, 0, &detail)
    while stop == NATIVE_SIGNAL { stop = native_step(process, detail, &detail) }
    guard stop == NATIVE_EXITED || stop == NATIVE_KILLED else {
      return differ("goes on behind \(hex(previous)), which ended the emulated one")
    }
    isOver = true
    let native = stop == NATIVE_EXITED ? detail : 128 + detail
    if native != status { differ("ends with status \(native), not \(status)") }
  }

  private func differ(_ text: String) {
    if difference == nil { difference = "the native program \(text), after \(count) places" }
  }

  private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
