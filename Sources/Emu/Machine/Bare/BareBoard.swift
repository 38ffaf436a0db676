import Engine

/// An instruction set with a timer of the hart's own.
protocol TimedISA: GuestISA {
  /// Says how far the machine's ticks are ahead of the hart's count.
  func setTimeOffset(_ offset: UInt64, _ hart: Hart)
  /// Fires the timer where its time has come.
  func updateTimer(_ hart: Hart)
  /// When it fires, in its own time.
  func timerDeadline(_ hart: Hart) -> UInt64?
}

/// What of a bare machine is of one architecture: which harts there are, the devices, and how an image
/// is started.
///
/// It belongs to its machine, which outlives it and which it may ask from its initialiser on.
protocol BareBoard: AnyObject {
  /// Where RAM begins.
  static var ramBase: UInt64 { get }
  /// How many TLBs a hart has.
  static var tlbCount: Int { get }
  /// Whether there may be so much RAM.
  static func takes(memory: UInt64) -> Bool
  /// What the board lacks of what the command line asks for.
  static func unfit(_ options: BareRun.Options) -> String?
  /// The instruction set of one hart.
  static func makeISA() -> any TimedISA

  /// Puts the devices on the machine's bus.
  init(_ machine: BareMachine, startOfRun: UInt64)

  /// Starts an image that was loaded.
  func enter(_ image: BareImage, _ mode: BareImage.EntryMode)
  /// Starts a hart anew that was suspended.
  func start(hart: Int, address: UInt64, opaque: UInt64)
  /// What the image asked of a processor that is not done, where that ended the run.
  var refusal: String? { get }
  /// Whether a processor has stopped for good.
  func isShutDown(_ hart: Int) -> Bool

  /// Takes what has arrived from outside.
  func poll()
  /// Has devices do what is due.
  func updateTimers()
  /// The time that harts' own timers compare with, and the tick at which it comes.
  var time: UInt64 { get }
  func tick(ofTime time: UInt64) -> UInt64?
  /// When a device does something by itself.
  var nextDeadline: UInt64? { get }

  /// Whether firmware serves the harts.
  var hasFirmware: Bool { get }
  /// Says so, of a state that is restored.
  ///
  /// - Returns: whether the board can.
  func setFirmware(_ serves: Bool) -> Bool
  func archive(_ archive: Archive)
}

extension ProgramArchitecture {
  /// The board of bare images.
  var board: any BareBoard.Type {
    switch self {
    case .riscv64: VirtBoard.self
    case .x86_64: PCBoard.self
    }
  }
}

/// A device whose registers say when something is due: after a write the machine plans anew.
final class Rescheduling: Device {
  private let device: any Device
  private unowned let machine: BareMachine

  init(_ device: any Device, _ machine: BareMachine) {
    self.device = device
    self.machine = machine
  }

  func read(_ offset: UInt64, size: Int) -> UInt64 { device.read(offset, size: size) }

  func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    device.write(offset, size: size, value)
    machine.currentHart?.requestStop()
  }
}
