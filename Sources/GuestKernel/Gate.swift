/// What guest kernel text asks the model for.
public enum GateFunction: UInt64, Sendable, CaseIterable {
  /// `BOOT()`: the first task's structure.
  case boot = 0
  /// `SYSCALL(nr, args*, regs*)`.
  case syscall = 1
  /// `FAULT(regs*, address, access)`.
  case fault = 2
  /// `TRAP(regs*, cause)`.
  case trap = 3
  /// `SIGNAL(regs*)`.
  case signal = 4
  /// `SCHEDULE()`: the next task's structure.
  case schedule = 5
  /// `TICK(regs*)`.
  case tick = 6
  /// `IRQ(regs*)`.
  case irq = 7
  /// `IDLE()`.
  case idle = 8
  /// `EXIT_TASK(code)`.
  case exitTask = 9
  /// `FORKED()`.
  case forked = 10
  /// `DIE(regs*)`.
  case die = 11
  /// `CONSOLE(pointer, length)`.
  case console = 12
}

/// What guest kernel text must do after a call of the model.
public struct GateAction: OptionSet, Sendable, Hashable {
  /// The bits in the second result register.
  public let rawValue: UInt64
  /// A set of the given bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Forget every translation.
  public static let flushAll = GateAction(rawValue: 1)
  /// Forget the translation of the page in the third result.
  public static let flushPage = GateAction(rawValue: 2)
  /// Make instruction fetch see stores.
  public static let fenceInstructions = GateAction(rawValue: 4)
  /// Load the page-table register from the current task and forget every translation.
  public static let reloadRoot = GateAction(rawValue: 8)
  /// Call `schedule()`, then make the same call again.
  public static let block = GateAction(rawValue: 16)
}

/// The model's answer: the three result registers.
public struct GateReply: Sendable, Equatable {
  /// First result.
  public var value: UInt64
  /// Second result.
  public var action: GateAction
  /// Third result: the page for ``GateAction/flushPage``.
  public var a2: UInt64

  /// An answer of the given parts.
  public init(value: UInt64 = 0, action: GateAction = [], a2: UInt64 = 0) {
    self.value = value
    self.action = action
    self.a2 = a2
  }
}

extension Kernel {
  /// Serves one call of guest kernel text. Never traps, whatever the arguments.
  ///
  /// - Parameter arguments: the argument registers, a0 to a4.
  public func gate(_ function: UInt64, arguments: [UInt64]) -> GateReply { GateReply() }
}
