/// The console of a bare board: what its UART is wired to.
public protocol BareConsole: AnyObject {
  /// Prints bytes; stream 1 is output, 2 errors.
  func write(_ bytes: [UInt8], stream: Int)
  /// The next byte that has arrived; never waits.
  func next() -> UInt8?
  /// Waits until a byte has arrived.
  ///
  /// - Returns: `false` where none will ever come.
  func waitForInput() -> Bool
  /// What it has read and not yet given out, and the like.
  var archivedState: [UInt8] { get set }
}

extension BareConsole {
  /// Nothing.
  public var archivedState: [UInt8] {
    get { [] }
    set {}
  }
}

/// The console as devices see it.
///
/// They don't hold the machine, which holds them.
final class ConsoleLine: ConsoleSink, ConsoleSource {
  private let console: any BareConsole

  init(_ console: any BareConsole) { self.console = console }

  func write(_ bytes: [UInt8]) { console.write(bytes, stream: 1) }
  func next() -> UInt8? { console.next() }
}
