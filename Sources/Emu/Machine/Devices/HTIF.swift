import Engine

/// What the guest asked for through `tohost`.
public enum HTIFEvent: Sendable, Equatable {
  /// The test passed.
  case pass
  /// Test `test` failed.
  case fail(test: UInt64)
  /// Bytes for a stream of the host: 1 is output, 2 is errors.
  case write(fd: UInt64, bytes: [UInt8])
}

/// The host interface of bare tests: two 64-bit variables in the guest's RAM.
///
/// | `tohost` | Meaning | Answer |
/// |---|---|---|
/// | 0 | nothing | |
/// | 1 | pass | none; the run ends |
/// | (n << 1) \| 1 | test n failed | none; the run ends |
/// | 0x0101_xxxx_xxxx_xxcc | write character cc to the console | `tohost` = 0 |
/// | other even value | address of a request | word 0 = result, `tohost` = 0, then `fromhost` = 1 |
///
/// A request is four 64-bit words {64, fd, addr, len}: write `len` bytes of RAM at `addr` to `fd` 1 or 2; the result
/// is `len` (at most ``maxWrite``), -9 (EBADF) or -14 (EFAULT). Other numbers give -38 (ENOSYS). A request that does not
/// lie in RAM is acknowledged and has no other effect.
///
/// A 64-bit value may come as two 32-bit stores, low word first, or as the low word alone. The
/// variables say nothing about widths, so a value whose high word is zero is acted on when it has
/// stayed for ``settleTicks``, unless the caller saw an 8-byte store or the store of the high word
/// (``noteStore(_:size:)``); any other value at once.
///
/// - SeeAlso: RISC-V ISA simulator, fesvr/htif.cc, `htif_t::run`; fesvr/device.cc, `bcd_t`; riscv-tests,
///   env/p/riscv_test.h, `write_tohost`; benchmarks/common/syscalls.c, `syscall`.
public final class HTIF {
  /// How long a value with a zero high word must stay before it is taken to be whole.
  public static let settleTicks: UInt64 = 256

  /// Most bytes that one request writes, so that it stays a bounded amount of work.
  ///
  /// Of a longer one the result says how many were.
  public static let maxWrite: UInt64 = 16 << 20

  /// Physical address of the symbol `tohost`.
  public let tohost: UInt64
  /// Physical address of the symbol `fromhost`, if the image has one.
  public let fromhost: UInt64?

  private var seen: UInt64 = 0
  private var settles: UInt64?
  private var whole = false

  /// A watcher of the two variables.
  public init(tohost: UInt64, fromhost: UInt64?) {
    self.tohost = tohost
    self.fromhost = fromhost
  }

  /// The tick at which ``check(_:now:)`` must be called again though nothing more is stored.
  public var nextDeadline: UInt64? { settles }

  /// Tells of a store by a hart, if the machine knows its width.
  ///
  /// Optional, and makes ``check(_:now:)`` act at once.
  public func noteStore(_ pa: UInt64, size: Int) {
    if pa == tohost &+ 4 || (pa == tohost && size >= 8) { whole = true }
  }

  /// Looks at `tohost` and does what it asks.
  ///
  /// Call it after stores to its page, at ``nextDeadline``, and at the end of a slice; repeat while
  /// it gives an event.
  ///
  /// - Parameters:
  ///   - ram: the guest's RAM.
  ///   - now: the machine's ticks. Leave it out when the guest will run no more.
  /// - Returns: what the machine has to do, if anything.
  public func check(_ ram: PhysicalMemory, now: UInt64 = .max) -> HTIFEvent? {
    guard let value = ram.load(tohost, as: UInt64.self), value != 0 else {
      forget()
      return nil
    }
    if value >> 32 == 0, !whole {
      if settles == nil || value != seen {
        seen = value
        settles = now > .max &- Self.settleTicks ? now : now &+ Self.settleTicks
      }
      guard let settles, now >= settles else { return nil }
    }
    forget()
    if value >> 48 == 0x0101 {
      ram.store(tohost, UInt64(0))
      return .write(fd: 1, bytes: [UInt8(truncatingIfNeeded: value)])
    }
    if value == 1 { return .pass }
    if value & 1 != 0 { return .fail(test: value >> 1) }
    let event = request(value, ram)
    ram.store(tohost, UInt64(0))
    if let fromhost { ram.store(fromhost, UInt64(1)) }
    return event
  }

  private func forget() {
    settles = nil
    whole = false
  }

  private func request(_ address: UInt64, _ ram: PhysicalMemory) -> HTIFEvent? {
    guard ram.contains(address, 32) else { return nil }
    let words = (0..<4).map { ram.load(address &+ 8 &* $0, as: UInt64.self) ?? 0 }
    guard words[0] == 64 else {
      ram.store(address, Int64(-38))
      return nil
    }
    guard words[1] == 1 || words[1] == 2 else {
      ram.store(address, Int64(-9))
      return nil
    }
    guard ram.contains(words[2], words[3]),
      let bytes = ram.bytes(words[2], Int(min(words[3], Self.maxWrite)))
    else {
      ram.store(address, Int64(-14))
      return nil
    }
    ram.store(address, UInt64(bytes.count))
    return .write(fd: words[1], bytes: bytes)
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("seen", &seen)
    archive("settles", &settles)
    archive("whole", &whole)
    archive.transient(["tohost", "fromhost"])
  }
}
