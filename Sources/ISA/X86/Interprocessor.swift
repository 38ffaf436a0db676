import Engine

/// What a local APIC or the I/O APIC sends to processors.
///
/// - SeeAlso: Intel SDM volume 3, 'Issuing Interprocessor Interrupts'.
public struct APICMessage: Sendable, Equatable {
  /// The vector; of a start-up message the page where code begins.
  public var vector: UInt64
  /// 0 fixed, 1 lowest priority, 4 NMI, 5 INIT, 6 start-up.
  public var mode: UInt64
  /// Whom it is for.
  public var destination: UInt64
  /// Whether the destination is a set of logical addresses, not one number.
  public var isLogical: Bool
  /// The destination has 32 bits, not 8.
  public var isWide: Bool

  /// A message with these parts.
  public init(
    vector: UInt64, mode: UInt64, destination: UInt64, isLogical: Bool, isWide: Bool = false
  ) {
    self.vector = vector
    self.mode = mode
    self.destination = destination
    self.isLogical = isLogical
    self.isWide = isWide
  }

  /// It goes to one processor of those that it is for.
  public var isForOne: Bool { mode == Self.lowestPriority }

  static let lowestPriority: UInt64 = 1, nonMaskable: UInt64 = 4
  static let initialize: UInt64 = 5, start: UInt64 = 6
}

/// For whom besides its destination a message is.
public enum APICShorthand: UInt64, Sendable {
  /// For the destination.
  case none
  /// For the sender.
  case itself
  /// For all.
  case all
  /// For all but the sender.
  case others
}

/// Bits of ``SystemSlot/startup``: INIT came; a start-up message came, whose vector is in bits 15:8.
enum Startup {
  static let initialize: UInt64 = 1, start: UInt64 = 2
}

extension X64 {
  /// What ICR says is sent, also with a vector that can't be: an error of sender and receivers.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Interrupt Command Register (ICR)'.
  func send(isWide: Bool, _ hart: Hart) {
    let command = hart.x[SystemSlot.command]
    let message = APICMessage(
      vector: command & 0xff, mode: command >> 8 & 7,
      destination: isWide ? command >> 32 : command >> 56,
      isLogical: command >> 11 & 1 == 1, isWide: isWide)
    // The end of an INIT level, which processors have not known for long.
    let isDeassertion = message.mode == APICMessage.initialize && command >> 14 & 3 == 2
    guard !isDeassertion, let shorthand = APICShorthand(rawValue: command >> 18 & 3) else { return }
    if message.mode <= APICMessage.lowestPriority, message.vector < 16 {
      noteError(APICError.sentVector, hart)
    }
    if let onMessage {
      onMessage(message, shorthand)
    } else if shorthand != .others {
      receive(message, hart)
    }
  }

  /// Whether a message is for the hart.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Determining IPI Destination' and 'Logical Destination Mode in
  ///   x2APIC Mode'.
  public func accepts(_ message: APICMessage, _ hart: Hart) -> Bool {
    let x = hart.x
    let all: UInt64 = message.isWide ? 0xffff_ffff : 0xff
    let destination = message.destination
    if destination == all { return true }
    guard message.isLogical else { return destination == UInt64(hart.index) }
    if x[SystemSlot.apicBase] & APIC.extended != 0 {
      let cluster = message.isWide ? destination >> 16 : 0
      return cluster == UInt64(hart.index >> 4)
        && destination & 0xffff & 1 << UInt64(hart.index & 15) != 0
    }
    let own = x[SystemSlot.logical] >> 24
    if x[SystemSlot.format] >> 28 == 0xf { return destination & own != 0 }
    return (destination >> 4 == own >> 4 || destination >> 4 == 0xf)
      && destination & own & 0xf != 0
  }

  /// Takes a message that is for the hart.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Local APIC State After It Has Been Software Disabled', 'MP
  ///   Initialization Protocol Algorithm for MP Systems'.
  public func receive(_ message: APICMessage, _ hart: Hart) {
    let x = hart.x
    guard x[SystemSlot.apicBase] & APIC.enabled != 0 else { return }
    let waits = x[SystemSlot.waitsForStart] != 0
    switch message.mode {
    case 0, 1:
      guard x[SystemSlot.spuriousVector] & APIC.softwareEnabled != 0 else { return }
      interrupt(message.vector, hart)
    case APICMessage.nonMaskable: if !waits { interruptNonMaskably(hart) }
    case APICMessage.initialize:
      x[SystemSlot.startup] = Startup.initialize
      hart.requestInterruptCheck()
    case APICMessage.start:
      // Only one that waits for it takes it.
      let before = x[SystemSlot.startup]
      guard waits || before & Startup.initialize != 0 else { return }
      x[SystemSlot.startup] =
        before & Startup.initialize | Startup.start | message.vector << 8
      hart.requestInterruptCheck()
    // There is no system management, and no other interrupt controller.
    default: break
    }
  }

  /// INIT, or the start-up message behind it.
  func takeStartup(_ hart: Hart) -> Bool {
    let x = hart.x
    let startup = x[SystemSlot.startup]
    if startup & Startup.initialize != 0 {
      x[SystemSlot.startup] = startup & ~Startup.initialize
      if x[SystemSlot.apicBase] & APIC.bootstrap != 0 {
        // It would begin where firmware does.
        x[SystemSlot.startup] = 0
        onReset?()
        return true
      }
      waitForStart(hart)
      x[Slot.checkInterrupts] = 1
      return true
    }
    x[SystemSlot.startup] = 0
    guard x[SystemSlot.waitsForStart] != 0 else { return false }
    x[SystemSlot.waitsForStart] = 0
    let page = startup >> 8 & 0xff
    enterReal(hart, selector: page << 8, base: page << 12, offset: 0)
    return true
  }

  /// Puts a hart where it is after INIT: it waits for a start-up message.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Local APIC State After an INIT Reset ("Wait-for-SIPI" State)'.
  public func waitForStart(_ hart: Hart) {
    let x = hart.x
    // It executes nothing before it is told where.
    enterReal(hart, selector: 0, base: 0, offset: 0)
    for index in 0..<4 {
      x[SystemSlot.requests + index] = 0
      x[SystemSlot.inService + index] = 0
    }
    for slot in [
      SystemSlot.taskPriority, SystemSlot.deadline, SystemSlot.initialCount, SystemSlot.divide,
      SystemSlot.command, SystemSlot.logical, SystemSlot.errorStatus, SystemSlot.errors,
      SystemSlot.errorEntry, SystemSlot.pinEntries, SystemSlot.pinEntries + 1,
    ] {
      x[slot] = 0
    }
    x[SystemSlot.spuriousVector] = 0xff
    x[SystemSlot.timerEntry] = 0
    maskVectorTable(x)
    x[SystemSlot.format] = 0xffff_ffff
    x[SystemSlot.waitsForStart] = 1
    x[SystemSlot.halted] = 1
    Self.updateMode(hart)
    timerChanged(hart)
  }

  /// Puts a hart that is not the first one where it is when the first one begins.
  public func enterWaiting(_ hart: Hart) {
    reset(hart, pc: 0)
    hart.x[SystemSlot.apicBase] = APIC.resetBase & ~APIC.bootstrap | APIC.enabled
    hart.x[SystemSlot.xcr0] = StateImage.x87
    waitForStart(hart)
  }
}
