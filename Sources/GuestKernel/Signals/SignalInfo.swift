import Engine

/// What comes with a signal: `siginfo_t`.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/siginfo.h`
public struct SignalInfo: Sendable, Equatable {
  /// The part that depends on who sent it.
  public enum Detail: Sendable, Equatable {
    /// `_kill`: `kill`, `tkill`, `tgkill`.
    case kill(pid: Int32, uid: UInt32)
    /// `_timer`.
    case timer(id: Int32, overrun: Int32, value: UInt64)
    /// `_rt`: `sigqueue`.
    case queue(pid: Int32, uid: UInt32, value: UInt64)
    /// `_sigchld`; times in clock ticks.
    case child(pid: Int32, uid: UInt32, status: Int32, utime: UInt64, stime: UInt64)
    /// `_sigfault`.
    case fault(address: UInt64)
    /// `_sigpoll`.
    case poll(band: Int64, fd: Int32)
    /// `_sigsys`.
    case syscall(address: UInt64, number: Int32, arch: UInt32)
    /// The 112 bytes as a program gave them.
    case raw([UInt8])
  }
  /// `si_signo`.
  public var signal: Int32
  /// `si_code`.
  public var code: Int32
  /// `si_errno`.
  public var errno: Int32 = 0
  /// The union.
  public var detail: Detail

  /// Bytes of a `siginfo_t`.
  public static let size = 128

  /// `si_code` of `kill`.
  public static let SI_USER: Int32 = 0
  /// `si_code` of the kernel's own signals.
  public static let SI_KERNEL: Int32 = 0x80
  /// `si_code` of `sigqueue`.
  public static let SI_QUEUE: Int32 = -1
  /// `si_code` of POSIX timers.
  public static let SI_TIMER: Int32 = -2
  /// `si_code` of `tkill` and `tgkill`.
  public static let SI_TKILL: Int32 = -6
  /// `si_code` of `SIGCHLD`.
  public static let CLD_EXITED: Int32 = 1, CLD_KILLED: Int32 = 2, CLD_DUMPED: Int32 = 3
  /// `si_code` of `SIGCHLD`, continued.
  public static let CLD_TRAPPED: Int32 = 4, CLD_STOPPED: Int32 = 5, CLD_CONTINUED: Int32 = 6

  /// A signal of the given parts.
  public init(_ signal: Int32, code: Int32, errno: Int32 = 0, _ detail: Detail) {
    self.signal = signal
    self.code = code
    self.errno = errno
    self.detail = detail
  }

  /// The kernel's own signal without details.
  public static func kernel(_ signal: Int32) -> SignalInfo {
    SignalInfo(signal, code: SI_KERNEL, .kill(pid: 0, uid: 0))
  }

  /// The 128 bytes.
  public var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.size)
    bytes.put(0, signal)
    bytes.put(4, errno)
    bytes.put(8, code)
    switch detail {
    case .kill(let pid, let uid):
      bytes.put(16, pid)
      bytes.put(20, uid)
    case .timer(let id, let overrun, let value):
      bytes.put(16, id)
      bytes.put(20, overrun)
      bytes.put(24, value)
    case .queue(let pid, let uid, let value):
      bytes.put(16, pid)
      bytes.put(20, uid)
      bytes.put(24, value)
    case .child(let pid, let uid, let status, let utime, let stime):
      bytes.put(16, pid)
      bytes.put(20, uid)
      bytes.put(24, status)
      bytes.put(32, utime)
      bytes.put(40, stime)
    case .fault(let address):
      bytes.put(16, address)
    case .poll(let band, let fd):
      bytes.put(16, band)
      bytes.put(24, fd)
    case .syscall(let address, let number, let arch):
      bytes.put(16, address)
      bytes.put(24, number)
      bytes.put(28, arch)
    case .raw(let raw):
      for (index, byte) in raw.prefix(112).enumerated() { bytes[16 + index] = byte }
    }
    return bytes
  }

  /// What a program passes to `rt_sigqueueinfo`.
  init(signal: Int32, user bytes: [UInt8]) {
    self.signal = signal
    errno = bytes.get(4, Int32.self)
    code = bytes.get(8, Int32.self)
    detail = .raw(bytes.count >= Self.size ? Array(bytes[16..<Self.size]) : [])
  }

  /// The faulting address, where there is one.
  var address: UInt64? {
    if case .fault(let address) = detail { address } else { nil }
  }
}

/// Signals that were sent and not yet taken: `struct sigpending`.
struct SignalQueue: Sendable {
  /// Which signals are in it.
  private(set) var set = SignalSet()
  private var infos: [SignalInfo] = []

  /// Entries in the queue.
  var count: Int { infos.count }

  /// Adds a signal.
  ///
  /// A classic signal that is already there is not added again.
  mutating func add(_ info: SignalInfo) {
    if info.signal < Signal.realtime, set.contains(info.signal) { return }
    set.insert(info.signal)
    infos.append(info)
  }

  /// The first entry of a signal.
  mutating func take(_ signal: Int32) -> SignalInfo? {
    guard let index = infos.firstIndex(where: { $0.signal == signal }) else {
      set.remove(signal)
      return nil
    }
    let info = infos.remove(at: index)
    if !infos.contains(where: { $0.signal == signal }) { set.remove(signal) }
    return info
  }

  /// The first signal that is not in `mask`: those raised by instructions come first, then the
  /// lowest number (`next_signal`).
  mutating func next(notIn mask: SignalSet) -> SignalInfo? {
    var ready = set.bits & ~mask.bits
    guard ready != 0 else { return nil }
    if ready & SignalSet.synchronous != 0 { ready &= SignalSet.synchronous }
    return take(Int32(ready.trailingZeroBitCount) + 1)
  }

  /// The first signal that an instruction raised and that is not in `mask`.
  mutating func nextSynchronous(notIn mask: SignalSet) -> SignalInfo? {
    let ready = set.bits & ~mask.bits & SignalSet.synchronous
    guard ready != 0 else { return nil }
    for (index, info) in infos.enumerated()
    where info.code > SignalInfo.SI_USER && SignalSet.bit(info.signal) & ready != 0 {
      infos.remove(at: index)
      if !infos.contains(where: { $0.signal == info.signal }) { set.remove(info.signal) }
      return info
    }
    return nil
  }

  /// Forgets the signals of a set.
  mutating func flush(_ signals: UInt64) {
    guard set.bits & signals != 0 else { return }
    infos.removeAll { SignalSet.bit($0.signal) & signals != 0 }
    set.bits &= ~signals
  }
}

extension SignalQueue: Archived {
  package static func placeholder(_ a: Archive) -> SignalQueue { SignalQueue() }
  package mutating func archive(_ a: Archive) {
    a("set", &set)
    a("infos", &infos)
  }
}

extension SignalInfo: Archived {
  package static func placeholder(_ a: Archive) -> SignalInfo { .kernel(0) }
  package mutating func archive(_ a: Archive) {
    a("signal", &signal)
    a("code", &code)
    a("errno", &errno)
    a.parts("detail") { archiveDetail(a) }
  }

  private mutating func archiveDetail(_ a: Archive) {
    let kind: UInt8 =
      switch detail {
      case .kill: 0
      case .timer: 1
      case .queue: 2
      case .child: 3
      case .fault: 4
      case .poll: 5
      case .syscall: 6
      case .raw: 7
      }
    var (pid, other, third): (Int32, Int32, Int32) = (0, 0, 0)
    var uid: UInt32 = 0
    var (one, two): (UInt64, UInt64) = (0, 0)
    var raw: [UInt8] = []
    switch detail {
    case .kill(let p, let u): (pid, uid) = (p, u)
    case .timer(let id, let overrun, let value): (pid, other, one) = (id, overrun, value)
    case .queue(let p, let u, let value): (pid, uid, one) = (p, u, value)
    case .child(let p, let u, let status, let utime, let stime):
      (pid, uid, other, one, two) = (p, u, status, utime, stime)
    case .fault(let address): one = address
    case .poll(let band, let fd): (one, other) = (UInt64(bitPattern: band), fd)
    case .syscall(let address, let number, let arch): (one, third, uid) = (address, number, arch)
    case .raw(let bytes): raw = bytes
    }
    let choice = a.choice(kind, below: 8)
    a("", &pid)
    a("", &other)
    a("", &third)
    a("", &uid)
    a("", &one)
    a("", &two)
    a("", &raw)
    guard a.isReading else { return }
    detail =
      switch choice {
      case 0: .kill(pid: pid, uid: uid)
      case 1: .timer(id: pid, overrun: other, value: one)
      case 2: .queue(pid: pid, uid: uid, value: one)
      case 3: .child(pid: pid, uid: uid, status: other, utime: one, stime: two)
      case 4: .fault(address: one)
      case 5: .poll(band: Int64(bitPattern: one), fd: other)
      case 6: .syscall(address: one, number: third, arch: uid)
      default: .raw(raw)
      }
  }
}
