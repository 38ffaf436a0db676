import Engine

/// How the guest asked the machine to end.
public enum MachineExit: Sendable, Equatable {
  /// Everything is well.
  case pass
  /// Something is not, and this says what.
  case fail(code: UInt32)
  /// Start anew.
  case reset
}

/// SiFive's test finisher, which ends the run.
///
/// | Offset | Bits | Meaning |
/// |---|---|---|
/// | 0 | 15…0 | 0x5555 pass, 0x3333 fail, 0x7777 reset; other values are ignored |
/// | 0 | 31…16 | with 0x3333, the exit code |
///
/// Accesses are of 2 or 4 bytes; reads are zero. With QEMU, a fail exits with the code and a pass
/// with 0.
///
/// - SeeAlso: QEMU hw/misc/sifive_test.c; Linux
///   Documentation/devicetree/bindings/power/reset/syscon-poweroff.yaml.
public final class TestFinisher: Device {
  /// Called when the guest asks to end; the machine stops the hart.
  public var onExit: ((MachineExit) -> Void)?
  /// The last request.
  public private(set) var requested: MachineExit?

  /// A finisher that nobody has written to.
  public init() {}

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 { 0 }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    guard offset == 0, size == 2 || size == 4 else { return }
    let exit: MachineExit
    switch value & 0xffff {
    case 0x5555: exit = .pass
    case 0x3333: exit = .fail(code: size == 4 ? UInt32(value >> 16 & 0xffff) : 0)
    case 0x7777: exit = .reset
    default: return
    }
    requested = exit
    onExit?(exit)
  }

  /// Forgets the last request, at a reset of the machine.
  public func reset() { requested = nil }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("requested", &requested)
    archive.transient(["onExit"])
  }
}

extension MachineExit: Archived {
  package static func placeholder(_ archive: Archive) -> MachineExit { .pass }
  package mutating func archive(_ archive: Archive) {
    var kind: UInt8
    var code: UInt32 = 0
    switch self {
    case .pass: kind = 0
    case .fail(let with): (kind, code) = (1, with)
    case .reset: kind = 2
    }
    kind = archive.choice(kind, below: 3)
    archive("", &code)
    self = kind == 0 ? .pass : kind == 1 ? .fail(code: code) : .reset
  }
}
