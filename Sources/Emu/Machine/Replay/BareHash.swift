import Engine

extension BareMachine {
  /// A fingerprint of the registers of all harts and of RAM.
  public func stateHash() -> StateHash {
    var hash = StateHash()
    for hart in harts { hash.combine(hart.registerHash) }
    hash.combine(ram.hash())
    return hash
  }
}
