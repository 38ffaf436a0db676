import Engine

/// Signal numbers.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/signal.h`. The four guests share them.
public enum Signal {
  /// Numbers, as Linux names them.
  public static let SIGHUP: Int32 = 1, SIGINT: Int32 = 2, SIGQUIT: Int32 = 3, SIGILL: Int32 = 4
  /// Numbers, continued.
  public static let SIGTRAP: Int32 = 5, SIGABRT: Int32 = 6, SIGBUS: Int32 = 7, SIGFPE: Int32 = 8
  /// Numbers, continued.
  public static let SIGKILL: Int32 = 9, SIGUSR1: Int32 = 10, SIGSEGV: Int32 = 11
  /// Numbers, continued.
  public static let SIGUSR2: Int32 = 12, SIGPIPE: Int32 = 13, SIGALRM: Int32 = 14
  /// Numbers, continued.
  public static let SIGTERM: Int32 = 15, SIGSTKFLT: Int32 = 16, SIGCHLD: Int32 = 17
  /// Numbers, continued.
  public static let SIGCONT: Int32 = 18, SIGSTOP: Int32 = 19, SIGTSTP: Int32 = 20
  /// Numbers, continued.
  public static let SIGTTIN: Int32 = 21, SIGTTOU: Int32 = 22, SIGURG: Int32 = 23
  /// Numbers, continued.
  public static let SIGXCPU: Int32 = 24, SIGXFSZ: Int32 = 25, SIGVTALRM: Int32 = 26
  /// Numbers, continued.
  public static let SIGPROF: Int32 = 27, SIGWINCH: Int32 = 28, SIGIO: Int32 = 29
  /// Numbers, continued.
  public static let SIGPWR: Int32 = 30, SIGSYS: Int32 = 31
  /// The first realtime signal.
  public static let realtime: Int32 = 32
  /// The last signal.
  public static let last: Int32 = 64

  private static let names = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
  ]

  /// What people call a signal: `SIGSEGV`, `SIGRTMIN+3`, `signal 99`.
  public static func name(_ signal: Int32) -> String {
    if signal > 0, signal < realtime { return "SIG" + names[Int(signal)] }
    if signal == realtime { return "SIGRTMIN" }
    return signal > realtime && signal <= last
      ? "SIGRTMIN+\(signal - realtime)" : "signal \(signal)"
  }
}

/// A set of signals: `sigset_t` of 64 bits.
public struct SignalSet: Sendable, Equatable {
  /// Bit n - 1 for signal n.
  public var bits: UInt64
  /// The set of the given bits.
  public init(_ bits: UInt64 = 0) { self.bits = bits }

  static func bit(_ signal: Int32) -> UInt64 {
    signal > 0 && signal <= 64 ? 1 &<< UInt64(signal - 1) : 0
  }

  func contains(_ signal: Int32) -> Bool { bits & Self.bit(signal) != 0 }
  mutating func insert(_ signal: Int32) { bits |= Self.bit(signal) }
  mutating func remove(_ signal: Int32) { bits &= ~Self.bit(signal) }

  private static func set(_ signals: [Int32]) -> UInt64 { signals.reduce(0) { $0 | bit($1) } }

  /// Signals whose action can't be changed and that can't be blocked.
  static let unblockable = set([Signal.SIGKILL, Signal.SIGSTOP])
  /// Signals that an instruction raises.
  static let synchronous = set([
    Signal.SIGSEGV, Signal.SIGBUS, Signal.SIGILL, Signal.SIGTRAP, Signal.SIGFPE, Signal.SIGSYS,
  ])
  /// Signals whose default action is to stop.
  static let stop = set([Signal.SIGSTOP, Signal.SIGTSTP, Signal.SIGTTIN, Signal.SIGTTOU])
  /// Signals whose default action is to do nothing.
  static let ignoredByDefault = set([
    Signal.SIGCONT, Signal.SIGCHLD, Signal.SIGWINCH, Signal.SIGURG,
  ])
  /// Signals whose default action dumps core.
  static let core = set([
    Signal.SIGQUIT, Signal.SIGILL, Signal.SIGTRAP, Signal.SIGABRT, Signal.SIGFPE, Signal.SIGSEGV,
    Signal.SIGBUS, Signal.SIGSYS, Signal.SIGXCPU, Signal.SIGXFSZ,
  ])
}

/// What a signal does: `struct sigaction`.
struct SignalAction: Sendable, Equatable {
  /// `SIG_DFL` is 0, `SIG_IGN` 1.
  var handler: UInt64 = 0
  var flags: UInt64 = 0
  var restorer: UInt64 = 0
  var mask = SignalSet()

  static let `default`: UInt64 = 0
  static let ignore: UInt64 = 1

  static let SA_NOCLDSTOP: UInt64 = 1
  static let SA_NOCLDWAIT: UInt64 = 2
  static let SA_SIGINFO: UInt64 = 4
  static let SA_UNSUPPORTED: UInt64 = 0x400
  static let SA_EXPOSE_TAGBITS: UInt64 = 0x800
  static let SA_RESTORER: UInt64 = 0x0400_0000
  static let SA_ONSTACK: UInt64 = 0x0800_0000
  static let SA_RESTART: UInt64 = 0x1000_0000
  static let SA_NODEFER: UInt64 = 0x4000_0000
  static let SA_RESETHAND: UInt64 = 0x8000_0000
  /// Flags that the kernel knows; it clears all others (`UAPI_SA_FLAGS`).
  static let known =
    SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_RESTORER | SA_ONSTACK
    | SA_RESTART | SA_NODEFER | SA_RESETHAND
}

/// Actions of all signals: `struct sighand_struct`, shared by tasks cloned with `CLONE_SIGHAND`.
final class SignalHandlers: Archivable {
  private var actions = [SignalAction](repeating: SignalAction(), count: 64)

  init() {}

  package init(placeholderFor a: Archive) {}

  package func archive(_ a: Archive) {
    // Most are the default.
    var set = SignalSet()
    for (index, action) in actions.enumerated() where action != SignalAction() {
      set.insert(Int32(index) + 1)
    }
    a("", &set)
    a.parts("actions") {
      for index in actions.indices {
        guard set.contains(Int32(index) + 1) else {
          if a.isReading { actions[index] = SignalAction() }
          continue
        }
        a("action", &actions[index])
      }
    }
  }

  subscript(signal: Int32) -> SignalAction {
    get { signal > 0 && signal <= 64 ? actions[Int(signal) - 1] : SignalAction() }
    set { if signal > 0, signal <= 64 { actions[Int(signal) - 1] = newValue } }
  }

  func copy() -> SignalHandlers {
    let copy = SignalHandlers()
    copy.actions = actions
    return copy
  }

  /// What `execve` does: handlers become default, ignored signals stay ignored.
  ///
  /// - SeeAlso: Linux, `kernel/signal.c`, `flush_signal_handlers`
  func reset(all: Bool = false) {
    for index in actions.indices {
      let ignored = actions[index].handler == SignalAction.ignore && !all
      actions[index] = SignalAction()
      if ignored { actions[index].handler = SignalAction.ignore }
    }
  }

  /// Whether a signal that is not blocked would have no effect.
  func ignores(_ signal: Int32) -> Bool {
    let handler = self[signal].handler
    return handler == SignalAction.ignore
      || handler == SignalAction.default
        && SignalSet.ignoredByDefault & SignalSet.bit(signal) != 0
  }
}

/// The alternate signal stack: `stack_t`.
struct SignalStack: Sendable, Equatable {
  var sp: UInt64 = 0
  var size: UInt64 = 0
  var flags: UInt32 = SignalStack.SS_DISABLE

  static let SS_ONSTACK: UInt32 = 1
  static let SS_DISABLE: UInt32 = 2
  static let SS_AUTODISARM: UInt32 = 1 &<< 31
  /// `MINSIGSTKSZ` of the generic ABI.
  static let minimum: UInt64 = 2048

  /// Whether `sp` is inside, as `__on_sig_stack`.
  func contains(_ sp: UInt64) -> Bool { sp > self.sp && sp &- self.sp <= size }

  /// `on_sig_stack`: with `SS_AUTODISARM` a program is never on it.
  func isOn(_ sp: UInt64) -> Bool { flags & Self.SS_AUTODISARM == 0 && contains(sp) }

  /// `sas_ss_flags`.
  func state(_ sp: UInt64) -> UInt32 {
    if size == 0 { return Self.SS_DISABLE }
    return isOn(sp) ? Self.SS_ONSTACK : 0
  }
}

extension SignalSet: Archived {
  package static func placeholder(_ a: Archive) -> SignalSet { SignalSet() }
  package mutating func archive(_ a: Archive) { a("bits", &bits) }
}

extension SignalAction: Archived {
  package static func placeholder(_ a: Archive) -> SignalAction { SignalAction() }
  package mutating func archive(_ a: Archive) {
    a("handler", &handler)
    a("flags", &flags)
    a("restorer", &restorer)
    a("mask", &mask)
  }
}

extension SignalStack: Archived {
  package static func placeholder(_ a: Archive) -> SignalStack { SignalStack() }
  package mutating func archive(_ a: Archive) {
    a("sp", &sp)
    a("size", &size)
    a("flags", &flags)
  }
}
