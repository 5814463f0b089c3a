"""Tables in, tf.data out."""
