#if arch(x86_64) && os(Linux)
private import Glibc

/// Host code: memory that is written through one mapping and run through another.
///
/// Offsets name places in it. Code is only ever added, and forgotten all at once between blocks.
final class CodeCache {
  /// What a block of code must leave free, so that no instruction needs to ask.
  static let margin = 4096

  /// Bytes for code, and behind them for what code reads.
  let size: Int
  private let dataSize: Int
  private var dataUsed = 0
  /// The same memory twice.
  let writable: UnsafeMutablePointer<UInt8>
  let executable: UnsafeMutablePointer<UInt8>
  @exclusivity(unchecked) private(set) var used = 0
  /// Something did not fit.
  @exclusivity(unchecked) var overflowed = false
  /// Where the shared pieces are.
  @exclusivity(unchecked) private(set) var stubs = Stubs()
  /// Bytes of shared pieces, which are never dropped.
  @exclusivity(unchecked) private var fixed = 0

  let features: HostFeatures

  /// - Returns: `nil` where the host forbids such memory.
  ///
  /// `accrual` says what becomes of exceptions where its code does floating point.
  init?(bytes: Int, accrual: FloatAccrual = .none) {
    typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "memfd_create") else { return nil }
    let closeOnExec: UInt32 = 1
    let file = unsafeBitCast(symbol, to: Create.self)("emu-jit", closeOnExec)
    guard file >= 0 else { return nil }
    defer { close(file) }
    size = (max(bytes, 1 << 13) + 4095) & ~4095
    dataSize = (size / 16 + 4095) & ~4095
    guard ftruncate(file, size + dataSize) == 0 else { return nil }
    guard let low = mmap(nil, size + dataSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
      low != MAP_FAILED
    else { return nil }
    guard let high = mmap(nil, size + dataSize, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0),
      high != MAP_FAILED
    else {
      munmap(low, size + dataSize)
      return nil
    }
    writable = low.assumingMemoryBound(to: UInt8.self)
    executable = high.assumingMemoryBound(to: UInt8.self)
    features = HostFeatures(scratch: writable, run: UnsafeMutableRawPointer(executable))
    used = stubs.write(at: writable, accrual: accrual, bmi2: features.bmi2)
    fixed = used
  }

  deinit {
    munmap(writable, size + dataSize)
    munmap(executable, size + dataSize)
  }

  /// Whether the next block might not fit.
  var isFull: Bool { overflowed || size - used < 2 * Self.margin && used > fixed }

  /// Whether nothing but the shared pieces is there.
  var isEmpty: Bool { used == fixed }

  /// Where compiled code is entered.
  var enter: UInt { address(stubs.enter) }

  /// The host address of an offset.
  func address(_ offset: Int) -> UInt { UInt(bitPattern: executable + offset) }

  /// Keeps what was written up to `end`.
  func commit(_ end: UnsafeMutablePointer<UInt8>) {
    used = (end - writable + 15) & ~15
  }

  /// Forgets all code.
  ///
  /// Its bytes stay until others take their place: what is running can finish.
  func clear() {
    used = fixed
    dataUsed = 0
    overflowed = false
  }

  /// Memory that code can read and this process write.
  ///
  /// - Returns: its offset; `nil` where none is left.
  func data(_ bytes: Int) -> Int? {
    guard dataSize - dataUsed >= bytes else { return nil }
    defer { dataUsed += bytes }
    return size + dataUsed
  }

  /// Makes code at `entry` go to `target` instead.
  func redirect(_ entry: UInt32, to target: UInt32) {
    var asm = Assembler(p: writable + Int(entry))
    asm.jmp(to: writable + Int(target))
  }

  /// Makes the jump whose displacement is at `site` lead to `target`.
  func patch(_ site: UInt32, to target: UInt32) {
    Assembler.patch(writable + Int(site), to: writable + Int(target))
  }
}

/// What of the host's instructions beyond the first x86-64 there is.
struct HostFeatures {
  var popcnt = false
  var lzcnt = false
  var bmi = false
  var bmi2 = false
  var fma = false

  /// Asks the processor, by a few instructions written to `scratch`.
  init(scratch: UnsafeMutablePointer<UInt8>, run: UnsafeMutableRawPointer) {
    // (leaf, out): out[0...2] = ebx, ecx, edx of the leaf, subleaf 0.
    var asm = Assembler(p: scratch)
    asm.push(Host.rbx)
    asm.mov(8, Host.rsi)
    asm.rr(Alu.mov, Host.rax, Host.rdi, w: false)
    asm.rr(Alu.xor, Host.rcx, Host.rcx, w: false)
    asm.byte(0x0f)
    asm.byte(0xa2)
    asm.rm(0x89, Host.rbx, 8, 0, w: false)
    asm.rm(0x89, Host.rcx, 8, 4, w: false)
    asm.rm(0x89, Host.rdx, 8, 8, w: false)
    asm.pop(Host.rbx)
    asm.ret()
    typealias Ask = @convention(c) (UInt32, UnsafeMutableRawPointer) -> Void
    let ask = unsafeBitCast(run, to: Ask.self)
    var out: (UInt32, UInt32, UInt32) = (0, 0, 0)
    ask(1, &out)
    popcnt = out.1 >> 23 & 1 == 1
    // FMA counts only where the system keeps the upper halves: AVX and OSXSAVE.
    fma = out.1 >> 12 & 1 == 1 && out.1 >> 27 & 1 == 1 && out.1 >> 28 & 1 == 1
    ask(7, &out)
    bmi = out.0 >> 3 & 1 == 1
    bmi2 = out.0 >> 8 & 1 == 1
    ask(0x8000_0001, &out)
    lzcnt = out.1 >> 5 & 1 == 1
  }
}
#endif
