import Engine
import GuestKernel

/// Why a probe was refused.
public struct ProbeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What Linux's registration function returns.
  public let errno: Errno
  /// The reason, in a few words.
  public let reason: String

  /// A refusal.
  public init(_ errno: Errno, _ reason: String) {
    self.errno = errno
    self.reason = reason
  }

  /// The reason and the errno's name.
  public var description: String { "\(reason) (\(errno))" }
}

extension ProbeRefusal {
  /// The errno that the registration of such a probe ends with.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/kprobes/core.c`, `prepare_emulation`;
  ///   `arch/x86/kernel/uprobes.c`, `uprobe_init_insn`
  func errno(_ text: ProbedText) -> Errno {
    switch self {
    case .invalid: .EINVAL
    case .unsupported: .EOPNOTSUPP
    case .undecodable: text == .kernel ? .EINVAL : .ENOEXEC
    }
  }
}

/// What happens after a handler.
public enum ProbeAction: Sendable, Equatable {
  /// The probed instruction is executed.
  ///
  /// A uprobe's handler that changed the pc has it skipped (Linux from 6.12 on).
  case `continue`
  /// The probed instruction is not executed; what follows it is.
  ///
  /// No post handler runs, and no further pre handler at this address.
  case skip
  /// The probed instruction is not executed; execution goes on at this address.
  case redirect(UInt64)
  /// For uprobes: as ``continue``, and the break leaves this process if every consumer says so and no
  /// consumer's filter wants it (`UPROBE_HANDLER_REMOVE`); no filter wants everything.
  case remove
}
