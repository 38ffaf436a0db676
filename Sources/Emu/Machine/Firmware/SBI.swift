import Engine

/// Supervisor firmware: serves the environment calls of S-mode.
///
/// | Extension | ID | Functions |
/// |---|---|---|
/// | legacy | 0…8 | one function each, listed below |
/// | BASE | 0x10 | 0…6 |
/// | TIME | 0x54494d45 | 0 set_timer |
/// | IPI | 0x735049 | 0 send_ipi |
/// | RFENCE | 0x52464e43 | 0 fence_i, 1 sfence_vma, 2 sfence_vma_asid; 3…6 not supported |
/// | HSM | 0x48534d | 0 start, 1 stop, 2 get_status, 3 suspend |
/// | SRST | 0x53525354 | 0 system_reset |
/// | DBCN | 0x4442434e | 0 write, 1 read, 2 write_byte |
///
/// Everything else answers SBI_ERR_NOT_SUPPORTED.
///
/// - SeeAlso: RISC-V Supervisor Binary Interface Specification v2.0.
public final class SBI {
  /// Version 2.0.
  public static let specVersion: UInt64 = 2 << 24
  /// "EMU"; not a registered number.
  public static let implementationID: UInt64 = 0x454d55
  /// Version of this firmware.
  public static let implementationVersion: UInt64 = 1

  /// Most bytes that one console call writes.
  public static let maxConsoleBytes: UInt64 = 16 << 20

  /// Extension numbers.
  public enum Extension {
    /// Base.
    public static let base: UInt64 = 0x10
    /// Timer.
    public static let time: UInt64 = 0x5449_4d45
    /// Interprocessor interrupts.
    public static let ipi: UInt64 = 0x73_5049
    /// Remote fences.
    public static let rfence: UInt64 = 0x5246_4e43
    /// Hart state management.
    public static let hsm: UInt64 = 0x48_534d
    /// System reset.
    public static let srst: UInt64 = 0x5352_5354
    /// Debug console.
    public static let dbcn: UInt64 = 0x4442_434e
  }

  private unowned let host: any SBIHost
  private let machineIDs: [UInt64]

  /// Firmware for a machine, which must outlive it.
  ///
  /// - Parameters:
  ///   - host: the machine.
  ///   - mvendorid: what the CSR reads.
  ///   - marchid: what the CSR reads.
  ///   - mimpid: what the CSR reads.
  public init(host: any SBIHost, mvendorid: UInt64 = 0, marchid: UInt64 = 0, mimpid: UInt64 = 0) {
    self.host = host
    machineIDs = [mvendorid, marchid, mimpid]
  }

  /// Serves a call.
  ///
  /// - Parameters:
  ///   - ext: the extension, from a7.
  ///   - function: the function, from a6.
  ///   - args: a0 to a5; what is missing counts as zero.
  ///   - hart: who calls.
  /// - Returns: what the caller's a0 and a1 become.
  public func call(
    extension ext: UInt64, function: UInt64, args: [UInt64], hart: Int
  ) -> SBIResult {
    let args = Array((args + Array(repeating: 0, count: 6)).prefix(6))
    if ext <= 8 { return legacy(ext, args: args, hart: hart) }
    do throws(SBIError) {
      switch ext {
      case Extension.base: return .success(try base(function, args[0]))
      case Extension.time:
        guard function == 0 else { throw .notSupported }
        host.setTimer(args[0], hart: hart)
        return .success()
      case Extension.ipi:
        guard function == 0 else { throw .notSupported }
        for target in try harts(args[0], args[1]) { host.sendIPI(to: target) }
        return .success()
      case Extension.rfence: return try fence(function, args)
      case Extension.hsm: return try hartState(function, args, hart)
      case Extension.srst:
        guard function == 0 else { throw .notSupported }
        return try reset(UInt32(truncatingIfNeeded: args[0]), UInt32(truncatingIfNeeded: args[1]))
      case Extension.dbcn: return .success(try console(function, args))
      default: throw .notSupported
      }
    } catch {
      return .failure(error)
    }
  }

  /// Whether an extension is served.
  public func hasExtension(_ ext: UInt64) -> Bool {
    switch ext {
    case 0...8, Extension.base, Extension.time, Extension.ipi, Extension.rfence, Extension.hsm,
      Extension.srst, Extension.dbcn:
      true
    default: false
    }
  }

  private func base(_ function: UInt64, _ argument: UInt64) throws(SBIError) -> UInt64 {
    switch function {
    case 0: return Self.specVersion
    case 1: return Self.implementationID
    case 2: return Self.implementationVersion
    case 3: return hasExtension(argument) ? 1 : 0
    case 4, 5, 6: return machineIDs[Int(function) - 4]
    default: throw .notSupported
    }
  }

  /// The harts of a mask.
  ///
  /// - SeeAlso: RISC-V Supervisor Binary Interface Specification v2.0, "Hart list parameter".
  private func harts(_ mask: UInt64, _ base: UInt64) throws(SBIError) -> [Int] {
    if base == .max { return Array(0..<host.hartCount) }
    guard base < UInt64(host.hartCount) else { throw .invalidParam }
    var harts: [Int] = []
    var rest = mask
    while rest != 0 {
      let hart = Int(base) + rest.trailingZeroBitCount
      rest &= rest &- 1
      guard hart < host.hartCount else { throw .invalidParam }
      harts.append(hart)
    }
    return harts
  }

  private func fence(_ function: UInt64, _ args: [UInt64]) throws(SBIError) -> SBIResult {
    guard function <= 2 else { throw .notSupported }
    let targets = try harts(args[0], args[1])
    if function == 0 {
      for target in targets { host.remoteFenceI(on: target) }
      return .success()
    }
    let fence = SBIFence(
      range: try Self.range(args[2], args[3]), asid: function == 2 ? args[4] : nil)
    for target in targets { host.remoteSFence(fence, on: target) }
    return .success()
  }

  /// The range of a remote fence, `nil` for everything.
  private static func range(
    _ start: UInt64, _ size: UInt64
  ) throws(SBIError) -> SBIFence.Range? {
    if size == .max || (start == 0 && size == 0) { return nil }
    guard size == 0 || start <= .max - (size - 1) else { throw .invalidAddress }
    return SBIFence.Range(start: start, size: size)
  }

  private func hartState(
    _ function: UInt64, _ args: [UInt64], _ hart: Int
  ) throws(SBIError) -> SBIResult {
    switch function {
    case 0:
      let target = try validHart(args[0])
      guard host.state(of: target) == .stopped else { throw .alreadyAvailable }
      try checkEntry(args[1])
      host.start(hart: target, address: args[1], opaque: args[2])
      return .success()
    case 1:
      host.stop(hart: hart)
      return .noReturn
    case 2: return .success(host.state(of: try validHart(args[0])).rawValue)
    case 3:
      switch UInt32(truncatingIfNeeded: args[0]) {
      case 0:
        host.suspend(hart: hart)
        return .success()
      case 0x8000_0000:
        try checkEntry(args[1])
        host.suspend(hart: hart, resumeAt: args[1], opaque: args[2])
        return .noReturn
      default: throw .invalidParam
      }
    default: throw .notSupported
    }
  }

  private func validHart(_ id: UInt64) throws(SBIError) -> Int {
    guard id < UInt64(host.hartCount) else { throw .invalidParam }
    return Int(id)
  }

  /// A hart can only be sent to an instruction in RAM.
  private func checkEntry(_ address: UInt64) throws(SBIError) {
    guard address & 1 == 0, host.ram.contains(address, 2) else { throw .invalidAddress }
  }

  private func reset(_ type: UInt32, _ reason: UInt32) throws(SBIError) -> SBIResult {
    guard let kind = SBIReset(rawValue: type), reason <= 1 else { throw .invalidParam }
    host.reset(kind, systemFailure: reason == 1)
    return .noReturn
  }

  private func console(_ function: UInt64, _ args: [UInt64]) throws(SBIError) -> UInt64 {
    switch function {
    case 0:
      try checkMemory(args)
      // It may write fewer than asked, which keeps one call a bounded amount of work.
      let count = min(args[0], Self.maxConsoleBytes)
      var done: UInt64 = 0
      while done < count {
        let part = min(count &- done, 65536)
        host.consoleWrite(host.ram.bytes(args[1] &+ done, Int(part)) ?? [])
        done &+= part
      }
      return done
    case 1:
      try checkMemory(args)
      var done: UInt64 = 0
      while done < args[0], let byte = host.consoleRead() {
        host.ram.store(args[1] &+ done, byte)
        done &+= 1
      }
      return done
    case 2:
      host.consoleWrite([UInt8(truncatingIfNeeded: args[0])])
      return 0
    default: throw .notSupported
    }
  }

  /// Shared memory of a console call: count, address low, address high.
  ///
  /// An empty range is valid anywhere.
  private func checkMemory(_ args: [UInt64]) throws(SBIError) {
    guard args[0] == 0 || (args[2] == 0 && host.ram.contains(args[1], args[0])) else {
      throw .invalidParam
    }
  }

  // MARK: Legacy

  /// Serves a legacy call, which returns in a0 only.
  ///
  /// | ID | Call |
  /// |---|---|
  /// | 0 | set_timer(time) |
  /// | 1 | console_putchar(c) |
  /// | 2 | console_getchar() → c or -1 |
  /// | 3 | clear_ipi() → 1 if one was pending |
  /// | 4 | send_ipi(mask\*) |
  /// | 5 | remote_fence_i(mask\*) |
  /// | 6 | remote_sfence_vma(mask\*, start, size) |
  /// | 7 | remote_sfence_vma_asid(mask\*, start, size, asid) |
  /// | 8 | shutdown() |
  ///
  /// Masks lie at virtual addresses; a null one means every hart, as in OpenSBI. Bits of harts that
  /// do not exist are ignored.
  ///
  /// - SeeAlso: RISC-V Supervisor Binary Interface Specification v2.0, "Legacy Extensions"; OpenSBI
  ///   lib/sbi/sbi_ecall_legacy.c.
  private func legacy(_ ext: UInt64, args: [UInt64], hart: Int) -> SBIResult {
    switch ext {
    case 0: host.setTimer(args[0], hart: hart)
    case 1: host.consoleWrite([UInt8(truncatingIfNeeded: args[0])])
    case 2: return .legacy(host.consoleRead().map { Int64($0) } ?? -1)
    case 3: return .legacy(host.clearIPI(hart: hart) ? 1 : 0)
    case 8:
      host.reset(.shutdown, systemFailure: false)
      return .noReturn
    default:
      guard let targets = legacyHarts(args[0], hart) else { return .noReturn }
      var fence = SBIFence(range: nil, asid: ext == 7 ? args[3] : nil)
      if ext >= 6 {
        do throws(SBIError) {
          fence.range = try Self.range(args[1], args[2])
        } catch {
          return .legacy(error.rawValue)
        }
      }
      for target in targets {
        switch ext {
        case 4: host.sendIPI(to: target)
        case 5: host.remoteFenceI(on: target)
        default: host.remoteSFence(fence, on: target)
        }
      }
    }
    return .legacy(0)
  }

  /// The harts of a mask in virtual memory.
  ///
  /// `nil` where reading it faults.
  private func legacyHarts(_ va: UInt64, _ hart: Int) -> [Int]? {
    guard va != 0 else { return Array(0..<host.hartCount) }
    var harts: [Int] = []
    for base in stride(from: 0, to: host.hartCount, by: 64) {
      guard let mask = host.loadVirtual(va &+ UInt64(base / 8), hart: hart) else { return nil }
      for bit in 0..<min(64, host.hartCount - base) where mask >> UInt64(bit) & 1 != 0 {
        harts.append(base + bit)
      }
    }
    return harts
  }
}
